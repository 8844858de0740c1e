"""What charts put out, kept over restarts: random values of templates are drawn once for a chart, not at each start.

A file for each result, under the name that covers all that it depends on. It may hold passwords that a template drew,
so it is encrypted with a key apart from it, and bound to its name. Not part of a backup: it can be made again, with
new random values.
"""

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

log = logging.getLogger(__name__)

KEPT_BYTES_MAX: Final = 256 << 20
KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class Kept:
    """Used under the lock of whoever owns it. A disk that fails costs only that what it kept is made anew."""

    def __init__(self, folder: Path, key_file: Path) -> None:
        self._folder, self._key_file = folder, key_file
        self._cipher: AESGCM | None = None

    def load(self, name: str) -> bytes | None:
        """None: nothing of this name is kept, or what is there was not written with our key."""
        file = self._folder / name
        try:
            content = file.read_bytes()
            plain = self._key().decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], name.encode())
            os.utime(file)  # The ones in use are the last to go.
        except FileNotFoundError:
            return None
        except (OSError, InvalidTag, ValueError) as error:
            self._tell("cannot be read", file, error)
            return None
        return plain

    def store(self, name: str, content: bytes) -> None:
        file = self._folder / name
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            nonce = os.urandom(_NONCE_BYTES)
            new = self._folder / f"{name}.new"
            new.write_bytes(nonce + self._key().encrypt(nonce, content, name.encode()))
            new.chmod(0o600)
            new.replace(file)
            self._shrink()
        except OSError as error:
            self._tell("cannot be written", file, error)

    def _shrink(self) -> None:
        files = sorted(
            ((one.stat().st_mtime, one.stat().st_size, one) for one in self._folder.iterdir()), reverse=True
        )
        total = 0
        for _, size, file in files:
            total += size
            if total > KEPT_BYTES_MAX:
                file.unlink(missing_ok=True)

    def _key(self) -> AESGCM:
        if self._cipher is None:
            self._key_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with suppress(FileExistsError):
                descriptor = os.open(self._key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "wb") as opened:
                    opened.write(os.urandom(KEY_BYTES))
            self._cipher = AESGCM(self._key_file.read_bytes())
        return self._cipher

    def _tell(self, what: str, file: Path, error: Exception) -> None:
        facts = {"what": what, "file": str(file), "error": str(error) or type(error).__name__}
        log.warning("a chart's result is not kept: its random values are drawn anew", extra={"fields": facts})
