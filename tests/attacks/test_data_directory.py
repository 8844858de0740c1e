"""A data directory that is not ours to use: one clear line, exit code 1, and nothing in it is touched."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server
from typing import Final

import pytest

from gitops.kinds.core.config import SECRET
from gitops.store.contract import StoreUnusable
from tests.integration.master.whole import Site, Whole, config_map, manifest

GITWARD: Final = (sys.executable, "-m", "gitops.cli.main")
START_SECONDS: Final = 60.0


def free_port() -> int:
    with create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def up(site: Site, port: int) -> list[str]:
    return [
        *GITWARD, "up", "--node", "simulated", "--listen", f"127.0.0.1:{port}", "--data-dir", str(site.data),
        "--repo", str(site.repository.folder), "--source-name", "shop",
    ]  # fmt: skip


@contextmanager
def running(site: Site) -> Iterator["subprocess.Popen[str]"]:
    """`gitward up`, once it is ready; it gets SIGTERM at the end."""
    process = subprocess.Popen(
        up(site, free_port()), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline().startswith("ready https://127.0.0.1:")
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=START_SECONDS)
    assert process.returncode == 0, said


def files_of(folder: Path) -> dict[str, bytes]:
    """All but the lock, which names its holder, and what SQLite's own processes share."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path): path.read_bytes() for path in found if path.suffix not in (".lock", ".pid")}


def refused(site: Site) -> str:
    """What a start says that fails."""
    done = subprocess.run(
        up(site, free_port()), capture_output=True, text=True, timeout=START_SECONDS, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "ready" not in done.stdout
    return done.stderr


def test_a_second_master_on_one_directory_is_refused_and_the_first_goes_on(site: Site) -> None:
    site.repository.commit({"a.yaml": config_map("a")})
    with running(site) as first:
        said = refused(site)

        assert said.splitlines()[-1].endswith(
            f"state.db: in use by process {first.pid}: stop it first, or use another directory"
        )
        assert first.poll() is None


def a_site_with_a_secret(site: Site) -> None:
    async def story(whole: Whole) -> None:
        await whole.goes_live({"db.yaml": site.encrypted(manifest("Secret", "db", password="canary"))})

    site.run(story)


def test_another_store_key_is_refused_by_the_command_line_and_the_right_one_still_opens(site: Site) -> None:
    a_site_with_a_secret(site)
    key = site.data / "keys" / "store.key"
    right = key.read_bytes()
    key.write_bytes(b"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=\n")

    said = refused(site)

    assert said.splitlines()[-1].endswith(
        f"{key}: not the key that sealed {site.data / 'state.db'}: restore the right one"
    )
    assert "canary" not in said
    key.write_bytes(right)

    async def again(whole: Whole) -> None:
        assert (await whole.admin.get(SECRET, "default", "db"))["data"]["password"].reveal() == b"Y2FuYXJ5"

    site.run(again)


async def nothing(_: Whole) -> None:
    """The start is all that is asked."""


def missing(data: Path) -> None:
    (data / "keys" / "store.key").unlink()


def readable(data: Path) -> None:
    (data / "keys" / "store.key").chmod(0o644)


def too_short(data: Path) -> None:
    (data / "keys" / "store.key").write_text("QUFB\n")


def newer(data: Path) -> None:
    with sqlite3.connect(data / "state.db") as connection:
        connection.execute("UPDATE meta SET value = 99 WHERE name = 'schema'")
    connection.close()


def overwritten(data: Path) -> None:
    with (data / "state.db").open("r+b") as file:
        file.write(b"x" * 8192)


DAMAGES: Final[dict[str, tuple[Callable[[Path], None], str]]] = {
    "no store key": (missing, "store.key: missing, and the secrets in the store need it: restore it"),
    "a key that others may read": (readable, "store.key: others may read this key: chmod 600"),
    "a key that is too short": (too_short, "store.key: found 3 bytes, wanted a store key of 32: restore it"),
    "a newer schema": (newer, "state.db: written by a newer Gitward"),
    "a database that is none": (
        overwritten,
        "state.db: file is not a database: the file is damaged: restore a backup",
    ),
}


@pytest.mark.parametrize(("damage", "words"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_directory_is_refused_and_left_as_it_is(
    site: Site, damage: Callable[[Path], None], words: str
) -> None:
    a_site_with_a_secret(site)
    damage(site.data)
    before = files_of(site.data)

    with pytest.raises(StoreUnusable) as raised:
        site.run(nothing)

    assert words in str(raised.value)
    assert files_of(site.data) == before


@pytest.mark.parametrize("was_used", [False, True], ids=["at the first start", "later"])
def test_a_port_that_is_taken_is_told_and_the_directory_can_be_used_afterwards(
    site: Site, *, was_used: bool
) -> None:
    if was_used:
        site.run(nothing)
    with create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = subprocess.run(
            up(site, port), capture_output=True, text=True, timeout=START_SECONDS, check=False
        )

    assert done.returncode == 1
    told = "the API cannot listen on 127.0.0.1:{}: " if was_used else "127.0.0.1:{}/tcp is taken by "
    assert told.format(port) in done.stderr
    assert "Traceback" not in done.stderr
    site.run(nothing)


def test_what_is_secret_in_the_directory_can_be_read_by_nobody_else(site: Site) -> None:
    a_site_with_a_secret(site)

    secret = ("state.db", "keys/store.key", "pki/ca.key", "pki/apiserver.key", "admin.kubeconfig")
    assert {name: (site.data / name).stat().st_mode & 0o077 for name in secret} == dict.fromkeys(secret, 0)
    assert site.data.stat().st_mode & 0o077 == 0
