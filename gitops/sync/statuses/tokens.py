"""The operator's tokens for forges: a file of lines `TOKEN`, or `HOST TOKEN`; `#` lines are comments.

A token without a host is for the source that the flags name: no other source decides where it goes.
"""

from pathlib import Path
from typing import Final

from gitops.kinds.errors import BadRequest, Unavailable
from gitops.kinds.sensitive import Sensitive

TOKENS_BYTES_MAX: Final = 64 * 1024


class TokenFile:
    """Read at every call, so that a new token needs no restart. It blocks: for a thread."""

    def __init__(self, file: Path, home: str) -> None:
        """`home`: the name of the source that the flags name."""
        self._file, self._home = file, home

    def token_for(self, source: str, host: str) -> Sensitive | None:
        """None: there is none. Unavailable, BadRequest: the file cannot be read."""
        plain: Sensitive | None = None
        for words in self._lines():
            if len(words) == 2 and words[0].lower() == host:
                return Sensitive(words[1])
            if len(words) == 1 and plain is None:
                plain = Sensitive(words[0])
        return plain if source == self._home else None

    def _lines(self) -> list[list[str]]:
        try:
            with self._file.open("rb") as opened:
                text = opened.read(TOKENS_BYTES_MAX).decode()
        except OSError as error:
            raise Unavailable(f"{self._file}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise BadRequest(f"{self._file}: is no UTF-8 text") from error
        lines = [
            line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
        ]
        if any(len(words) > 2 for words in lines):
            raise BadRequest(f"{self._file}: wanted lines `TOKEN` or `HOST TOKEN`")
        return lines
