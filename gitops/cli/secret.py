"""`gitward secret`: keys, and single files in and out of SOPS' formats, and SealedSecrets."""

import os
import re
import shlex
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import typer

from gitops.kinds.errors import BadRequest, GitwardError
from gitops.kinds.sensitive import Sensitive
from gitops.kinds.yaml import Unreadable, position_of
from gitops.sync.secrets.formats import Format, format_of
from gitops.sync.secrets.keys import keygen, read_identities
from gitops.sync.secrets.places import BadField
from gitops.sync.secrets.sealed_keys import CERTIFICATE, FOLDER, read_certificate
from gitops.sync.secrets.sealed_secrets import Scope
from gitops.sync.secrets.wholes import Editing, decrypt_whole, edit, rotate
from gitops.sync.secrets.writer import encrypt_any, encrypt_file, seal_file

MANIFESTS: Final = (Format.YAML, Format.JSON)
MEMORY: Final = Path("/dev/shm")  # noqa: S108 # A tmpfs: an editor's file never reaches a disk.
_LINE: Final = re.compile(r"line (\d+): ")


def run_keygen() -> None:
    """The identity on stdout, in age's own file format; the recipient on stderr too if stdout is a file."""
    identity, recipient = keygen()
    typer.echo(f"# public key: {recipient}\n{identity}")
    if stat.S_ISREG(os.fstat(1).st_mode):
        typer.echo(f"public key: {recipient}", err=True)


def run_encrypt(file: Path, recipients: tuple[str, ...]) -> None:
    """To stdout. Raises BadRequest with file and line."""
    form, content = format_of(file.name), _content(file)
    with _placed(file, content):
        if form in MANIFESTS:
            _print(encrypt_file(_text(content), recipients, datetime.now(UTC), form=form).encode())
        else:
            _print(encrypt_any(content, form, recipients, datetime.now(UTC)))


def run_seal(file: Path, scope: str, certificate: Path | None, data_dir: Path) -> None:
    """SealedSecrets to stdout. Raises BadRequest with file and line."""
    if scope not in tuple(Scope):
        raise BadRequest(f"--scope: found {scope!r}, wanted {', '.join(Scope)}")
    chosen = certificate or data_dir / FOLDER / CERTIFICATE
    try:
        pem = chosen.read_bytes()
    except OSError as error:
        advice = (
            "" if certificate else "; a master makes it soon after its first start, or name one by --cert"
        )
        raise BadRequest(f"{chosen}: {error.strerror}{advice}") from error
    try:
        key = read_certificate(pem)
    except BadRequest as error:
        raise BadRequest(f"{chosen}: {error}") from error
    content = _content(file)
    with _placed(file, content):
        _print(seal_file(_text(content), key, Scope(scope)).encode())


def run_decrypt(file: Path, key_file: Path | None) -> None:
    """To stdout. Raises BadRequest where no key fits, naming the file's recipients."""
    content, identities = _content(file), _identities(key_file)
    with _placed(file, content):
        _print(decrypt_whole(content, format_of(file.name), identities))


def run_rotate(file: Path, recipients: tuple[str, ...], key_file: Path | None) -> None:
    """In place. Raises BadRequest where no key fits."""
    content, identities = _content(file), _identities(key_file)
    with _placed(file, content):
        fresh = rotate(content, format_of(file.name), identities, recipients, datetime.now(UTC), os.urandom)
    _replace(file, fresh)


def run_edit(file: Path, key_file: Path | None) -> None:
    """In place, by $VISUAL or $EDITOR on a file in memory. What is not changed is not written."""
    content, identities = _content(file), _identities(key_file)
    with _placed(file, content):
        editing = edit(content, format_of(file.name), identities, datetime.now(UTC), os.urandom)
    folder = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="gitward-", dir=folder) as private:  # Mode 0700.
        clear = Path(private) / file.name
        clear.write_bytes(editing.clear)
        fresh = _edited(file, clear, editing)
    if fresh is None:
        typer.echo(f"{file}: not changed", err=True)
    else:
        _replace(file, fresh)


def _edited(file: Path, clear: Path, editing: Editing) -> bytes | None:
    """What the editor leaves, encrypted. On a terminal a mistake opens the editor again."""
    command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    while True:
        try:
            status = subprocess.run([*command, str(clear)], check=False).returncode
        except OSError as error:
            raise BadRequest(f"the editor {command[0]!r}: {error.strerror}; see $EDITOR") from error
        if status != 0:
            raise BadRequest(f"{file}: the editor ended with status {status}; nothing was changed")
        content = clear.read_bytes()
        try:
            with _placed(file, content):
                return editing.closed(content)
        except BadRequest as error:
            if not sys.stdin.isatty():
                raise
            typer.echo(str(error), err=True)
            typer.confirm("Open the editor again?", default=True, abort=True)


def _identities(key_file: Path | None) -> tuple[Sensitive, ...]:
    """Of the key file and of SOPS' own environment variables."""
    found: list[Sensitive] = []
    ssh = os.environ.get("SOPS_AGE_SSH_PRIVATE_KEY_FILE")
    for file in (key_file, Path(ssh) if ssh else None):
        if file is not None:
            content = _content(file)
            with _placed(file, content):
                found += read_identities(_text(content))
    with _placed(Path("SOPS_AGE_KEY"), b""):
        found += read_identities(os.environ.get("SOPS_AGE_KEY", ""))
    return tuple(found)


def _print(content: bytes) -> None:
    typer.echo(content, nl=False)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadRequest(f"{file}: {error.strerror}") from error


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise BadRequest("is no UTF-8 text") from error


def _replace(file: Path, content: bytes) -> None:
    """Whole or not at all, with the mode it had."""
    try:
        fresh = file.with_name(f".{file.name}.gitward")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        fresh.chmod(stat.S_IMODE(file.stat().st_mode))
        fresh.replace(file)
    except OSError as error:
        raise BadRequest(f"{file}: {error.strerror}") from error


@contextmanager
def _placed(file: Path, content: bytes) -> Iterator[None]:
    """Errors of a text without a name begin with `line N:` at most; a reader wants `file:line:`."""
    try:
        yield
    except Unreadable as error:
        raise BadRequest(f"{file}:{error.line}: {error.what}") from error
    except BadField as error:
        line = position_of(content, error.document, error.field) if format_of(file.name) in MANIFESTS else 1
        raise BadRequest(f"{file}:{line or 1}: {error}") from error
    except GitwardError as error:
        found = _LINE.match(str(error))
        line_, message = (found[1], str(error)[found.end() :]) if found else ("1", str(error))
        raise BadRequest(f"{file}:{line_}: {message}") from error
    except UnicodeDecodeError as error:
        raise BadRequest(f"{file}:1: is no UTF-8 text") from error
