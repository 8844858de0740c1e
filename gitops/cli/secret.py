"""`gitward secret`: keys, and single files in and out of SOPS' format."""

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import typer

from gitops.kinds.errors import BadRequest
from gitops.sync.secrets import decrypt_file, encrypt_file, keygen, read_identities


def run_keygen() -> None:
    """The identity on stdout, in age's own file format."""
    identity, recipient = keygen()
    typer.echo(f"# public key: {recipient}\n{identity}")
    if stat.S_ISREG(os.fstat(1).st_mode):
        typer.echo(f"public key: {recipient}", err=True)


def run_encrypt(file: Path, recipients: tuple[str, ...]) -> None:
    """To stdout. Raises BadRequest with file and line."""
    typer.echo(encrypt_file(_text(file), recipients, file=str(file), now=datetime.now(UTC)), nl=False)


def run_decrypt(file: Path, key_file: Path | None) -> None:
    """To stdout. Raises BadRequest where no key fits, naming the file's recipients."""
    identities = read_identities(key_file) if key_file is not None else ()
    typer.echo(decrypt_file(_text(file), identities, file=str(file)), nl=False)


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"{file}: {error}") from error
