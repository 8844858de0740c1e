"""The parser's processes: what they may do, what becomes of an error, and that they come back."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.sync.render.isolate import UID
from gitops.sync.render.parse import Failure
from gitops.sync.zygote import Parser, unpacked


@pytest.fixture
def parser(tmp_path: Path) -> Iterator[Parser]:
    made = Parser(tmp_path / "empty")
    made.start()
    yield made
    made.close()


def zygote_of(parser: Parser) -> int:
    assert parser.pid is not None
    return parser.pid


def test_files_come_back_as_trees_in_order(parser: Parser) -> None:
    files = [(f"{number}.yaml", f"number: {number}\n".encode()) for number in range(3_000)]

    found = [unpacked(answer) for answer in parser.parse(files)]

    assert [parsed.documents[0].value for parsed in found] == [{"number": number} for number in range(3_000)]
    assert parser.parse([]) == []


def test_an_error_is_of_its_file_only(parser: Parser) -> None:
    bad, good = (unpacked(answer) for answer in parser.parse([("a.yaml", b"a: [\n"), ("b.yaml", b"b: 1")]))

    assert bad.failure is not None
    assert good.documents[0].value == {"b": 1}


def test_lines_of_fields_are_found(parser: Parser) -> None:
    assert parser.lines_of(b"a: 1\n---\nb:\n- c: 1\n", 1)["b[0].c"] == 4


def test_a_zygote_that_was_killed_is_started_again(parser: Parser) -> None:
    first = zygote_of(parser)
    os.kill(first, signal.SIGKILL)

    (answer,) = parser.parse([("a.yaml", b"a: 1")])

    assert unpacked(answer).documents[0].value == {"a": 1}
    assert zygote_of(parser) != first


def test_what_makes_no_sense_is_a_failure_of_its_file() -> None:
    assert unpacked(b"[]").failure == Failure(1, "parsing it gives no answer that makes sense")
    assert unpacked(b'{"documents": [[1]], "sealed": null, "failure": null}').failure is not None


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_as_root_it_has_no_privileges_no_files_and_no_network(parser: Parser) -> None:
    pid = zygote_of(parser)
    status = Path(f"/proc/{pid}/status").read_text()

    assert f"uid {UID}" in parser.isolation
    assert f"Uid:\t{UID}\t{UID}\t{UID}\t{UID}\n" in status
    assert "Groups:\t \n" in status
    assert "CapEff:\t0000000000000000\n" in status
    if "network" in parser.isolation:
        assert Path(f"/proc/{pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    if "empty root" in parser.isolation:
        assert list(Path(f"/proc/{pid}/root").iterdir()) == []
    opened = [str(descriptor.readlink()) for descriptor in Path(f"/proc/{pid}/fd").iterdir()]
    assert [name for name in opened if name != "/dev/null" and not name.startswith("socket:")] == []


def test_its_environment_holds_nothing_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOPS_AGE_KEY", "canary-5")
    parser = Parser(tmp_path / "empty")
    parser.start()

    environment = Path(f"/proc/{zygote_of(parser)}/environ")
    readable = environment.read_bytes() if os.getuid() == 0 else b""
    parser.close()

    assert b"canary" not in readable


def test_it_ends_with_its_master(parser: Parser) -> None:
    pid = zygote_of(parser)
    control = parser._forks._control
    assert isinstance(control, socket.socket)
    control.close()

    process = parser._forks._process
    assert process is not None
    assert process.wait(10) == 0
    assert not Path(f"/proc/{pid}").exists()
