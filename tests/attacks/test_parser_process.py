"""The parser's process dies, hangs, or is killed: its file is at fault, and nothing else."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

import pytest

from gitops.kinds.core.config import CONFIG_MAP
from gitops.sync import zygote
from gitops.sync.zygote import Parser
from tests.integration.master.whole import Site, Whole, config_map, manifest

ENDLESS = r"'^(a+)+$'"  # Against a long key of `a`s this never ends.

CPU_TICKS_MAX = 50  # Of 10 ms. A small file takes far less.


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    """A site with a parser that no other test uses."""
    parser = Parser(tmp_path / "empty")
    yield Site(tmp_path / "site", parser)
    parser.close()


def endless(site: Site) -> str:
    """An encrypted file whose own rule takes longer than anyone has."""
    sealed = site.encrypted(manifest("Secret", "db", **{"a" * 40 + "b": "canary"}))
    return sealed.replace("encrypted_regex: ^(data|stringData)$", f"encrypted_regex: {ENDLESS}")


def zygote_of(parser: Parser) -> int:
    assert parser.pid is not None
    return parser.pid


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def killing_the_children_of(parser: Parser) -> Iterator[None]:
    """Every child that works for longer than a moment is killed: by its CPU time, so a busy machine is no matter."""
    done = threading.Event()

    def kill() -> None:
        while not done.is_set():
            for child in children_of(zygote_of(parser)):
                if cpu_ticks(child) > CPU_TICKS_MAX:
                    with suppress(ProcessLookupError):
                        os.kill(child, signal.SIGKILL)
            sleep(0.05)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def cpu_ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0
    return int(fields[11]) + int(fields[12])


def test_a_child_that_is_killed_costs_its_file_alone(own: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        zygote, "FILE_SECONDS_MAX", 300.0
    )  # So that it is the death that is met, however busy we are.

    async def story(whole: Whole) -> None:
        good = await whole.goes_live({"a.yaml": config_map("a")})

        with killing_the_children_of(own.parser):
            problems = await whole.is_refused({"bad.yaml": endless(own), "b.yaml": config_map("b")})

        assert problems == ["bad.yaml:1: parsing it takes more memory or time than it may"]
        assert whole.live_commit() == good
        await whole.goes_live({"bad.yaml": None})
        assert whole.names(CONFIG_MAP, "default") == ["a", "b"]

    own.run(story)


def test_a_child_that_hangs_is_given_up(own: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zygote, "FILE_SECONDS_MAX", 0.5)  # A bound of ours, made short: nothing is replaced.

    async def story(whole: Whole) -> None:
        await whole.goes_live({"a.yaml": config_map("a")})
        begun = monotonic()

        problems = await whole.is_refused({"bad.yaml": endless(own), "b.yaml": config_map("b")})

        assert problems == ["bad.yaml:1: parsing it takes longer than 0 s"]
        assert monotonic() - begun < 15
        await whole.until(lambda: children_of(zygote_of(own.parser)) == [])
        await whole.goes_live({"bad.yaml": None})

    own.run(story)


def test_a_parser_that_was_killed_is_started_again(own: Site) -> None:
    async def story(whole: Whole) -> None:
        await whole.goes_live({"a.yaml": config_map("a")})
        killed = zygote_of(own.parser)
        os.kill(killed, signal.SIGKILL)

        await whole.goes_live({"a.yaml": config_map("a", "two")})

        assert zygote_of(own.parser) != killed

    own.run(story)


def test_the_parser_has_no_files_network_or_keys_of_ours(own: Site) -> None:
    async def story(whole: Whole) -> None:
        await whole.goes_live({"a.yaml": config_map("a")})
        pid = zygote_of(own.parser)
        status = dict(
            line.split(":\t")
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if ":\t" in line
        )
        maps = Path(f"/proc/{pid}/environ").read_bytes()

        if os.geteuid() == 0:
            assert status["Uid"].split() == ["61099"] * 4
            assert Path(f"/proc/{pid}/root").resolve() == (own.folder.parent / "empty").resolve()
        assert Path(f"/proc/{pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
        assert status["NoNewPrivs"].strip() == "1"
        assert b"HOME" not in maps
        opened = {str(link.readlink()).partition(":")[0] for link in Path(f"/proc/{pid}/fd").iterdir()}
        assert opened <= {"/dev/null", "socket"}

    own.run(story)
