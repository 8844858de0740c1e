"""`gitward secret`: keys, and single files in and out of SOPS' format (YAML)."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import typer

from gitops.kinds.errors import BadRequest, GitwardError
from gitops.kinds.sensitive import Sensitive
from gitops.kinds.yaml import Unreadable
from gitops.sync.secrets.keys import keygen, read_identities
from gitops.sync.secrets.reader import decrypt_file
from gitops.sync.secrets.writer import encrypt_file

ENDINGS: Final = (".yaml", ".yml")
_LINE: Final = re.compile(r"line (\d+): ")


def run_keygen() -> None:
    """The identity on stdout, in age's own file format; the recipient on stderr too if stdout is a file."""
    identity, recipient = keygen()
    typer.echo(f"# public key: {recipient}\n{identity}")
    if stat.S_ISREG(os.fstat(1).st_mode):
        typer.echo(f"public key: {recipient}", err=True)


def run_encrypt(file: Path, recipients: tuple[str, ...]) -> None:
    """To stdout. Raises BadRequest with file and line."""
    text = _yaml_of(file)
    with _placed(file):
        typer.echo(encrypt_file(text, recipients, datetime.now(UTC)), nl=False)


def run_decrypt(file: Path, key_file: Path | None) -> None:
    """To stdout. Raises BadRequest where no key fits, naming the file's recipients."""
    text = _yaml_of(file)
    identities: tuple[Sensitive, ...] = ()
    if key_file is not None:
        key_text = _text(key_file)
        with _placed(key_file):
            identities = read_identities(key_text)
    with _placed(file):
        typer.echo(decrypt_file(text, identities), nl=False)


def _yaml_of(file: Path) -> str:
    if file.suffix not in ENDINGS:
        raise BadRequest(
            f"{file}: the format is told by the ending: found {file.suffix or 'none'!r}, wanted .yaml"
        )
    return _text(file)


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError as error:
        raise BadRequest(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadRequest(f"{file}: is no UTF-8 text") from error


@contextmanager
def _placed(file: Path) -> Iterator[None]:
    """Errors of a text without a name begin with `line N:` at most; a reader wants `file:line:`."""
    try:
        yield
    except Unreadable as error:
        raise BadRequest(f"{file}:{error.line}: {error.what}") from error
    except GitwardError as error:
        found = _LINE.match(str(error))
        line, message = (found[1], str(error)[found.end() :]) if found else ("1", str(error))
        raise BadRequest(f"{file}:{line}: {message}") from error
