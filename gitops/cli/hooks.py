"""The webhooks of `gitward up`: Flask on a listener and threads of its own; it knows one callable of ours."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import webhooks
from gitops.kinds.errors import Unavailable
from gitops.kinds.gitward import GitSource
from gitops.master import Master

SECRETS_BYTES_MAX: Final = 64 * 1024


@contextmanager
def serving_webhooks(
    master: Master, address: tuple[str, int], secret_file: Path | None, secrets_dir: Path | None
) -> Iterator[None]:
    """Until the block is left. `secret_file` is for all sources that have no file of their own in `secrets_dir`.

    Unavailable: a file that cannot be read, or an address that cannot be listened on."""
    secrets = _secrets("--webhook-secret-file", secret_file) if secret_file is not None else ()

    def followed() -> tuple[webhooks.Source, ...]:
        """Read at every hook, so that a new secret needs no restart. From any thread."""
        return tuple(_source(one, secrets_dir) for one in master.followed)

    app = webhooks.make_app(master.syncer.hint, followed, secrets)
    host, port = address
    try:
        server = webhooks.make_server(app, host, port)
    except OSError as error:
        raise Unavailable(
            f"webhooks cannot listen on {host}:{port}: {error.strerror}; see --webhook-listen"
        ) from error
    thread = threading.Thread(target=server.run, name="webhooks", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.close()


def _source(source: GitSource, secrets_dir: Path | None) -> webhooks.Source:
    name, spec = source["metadata"].get("name", ""), source["spec"]
    secrets: tuple[bytes, ...] = ()
    if secrets_dir is not None:
        try:
            secrets = _secrets("--webhook-secrets-dir", secrets_dir / name)
        except Unavailable:
            # Unreadable is not absent: nobody may sign then, and whoever does is refused.
            secrets = () if not (secrets_dir / name).exists() else (b"",)
    return webhooks.Source(name, spec["url"], spec.get("branch", ""), secrets)


def _secrets(flag: str, file: Path) -> tuple[bytes, ...]:
    """One a line. Unavailable: the file cannot be read."""
    try:
        with file.open("rb") as opened:
            lines = opened.read(SECRETS_BYTES_MAX).splitlines()
    except OSError as error:
        raise Unavailable(f"{flag} {file}: {error.strerror}") from error
    return tuple(line.strip() for line in lines if line.strip())
