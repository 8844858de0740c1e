"""Following a log over the files that an engine begins anew: every line once, in order."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from agent.runtime.log_files import FILES_MAX, Wanted, follow


class Log:
    """Written as Docker writes."""

    def __init__(self, folder: Path) -> None:
        self.path, self.lines = folder / "x-json.log", 0
        self.path.touch()

    def write(self, count: int, stream: str = "stdout") -> None:
        with self.path.open("ab") as file:
            for _ in range(count):
                self.lines += 1
                time = f"2026-01-01T00:{self.lines // 60:02d}:{self.lines % 60:02d}.000000001Z"
                file.write(orjson.dumps({"log": f"{self.lines}\n", "stream": stream, "time": time}) + b"\n")

    def rotate(self) -> None:
        for number in range(FILES_MAX - 1, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{number}")
            if older.exists():
                older.rename(self.path.with_name(f"{self.path.name}.{number + 1}"))
        self.path.rename(self.path.with_name(f"{self.path.name}.1"))
        self.path.touch()


def numbers(first: int, last: int) -> bytes:
    return b"".join(b"%d\n" % number for number in range(first, last + 1))


def followed(log: Log, wanted: Wanted, *happenings: str) -> bytes:
    """What is told while things happen, one whenever nothing new is there; then the container ends."""
    left = list(happenings)

    async def running() -> bool:
        if not left:
            return False
        for word in left.pop(0).split():
            if word == "rotate":
                log.rotate()
            else:
                log.write(int(word))
        return True

    async def collect() -> bytes:
        return b"".join([chunk async for chunk in follow(log.path, wanted, running)])

    return asyncio.run(collect())


@pytest.mark.parametrize(
    "happenings",
    [("3",), ("rotate 2",), ("2 rotate 2", "1 rotate"), ("rotate 1 rotate 1 rotate 1",), ("rotate",)],
)
def test_every_line_comes_once(tmp_path: Path, happenings: tuple[str, ...]) -> None:
    log = Log(tmp_path)
    log.write(5)

    told = followed(log, Wanted(), *happenings)

    assert told == numbers(1, log.lines)


@pytest.mark.parametrize(("tail", "first"), [(0, 11), (1, 10), (3, 8), (4, 7), (7, 4), (10, 1), (99, 1)])
def test_the_last_lines_reach_back_over_files(tmp_path: Path, tail: int, first: int) -> None:
    log = Log(tmp_path)
    log.write(3)
    log.rotate()
    log.write(4)
    log.rotate()
    log.write(3)

    assert followed(log, Wanted(tail_lines=tail), "2 rotate 1") == numbers(first, 13)


def test_one_stream_since_a_time_with_the_engines_own_times(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.write(2, "stderr")
    log.write(2, "stdout")
    since = datetime(2026, 1, 1, 0, 0, 2, tzinfo=UTC)

    assert followed(log, Wanted(since=since, stream="stderr")) == b"2\n"
    assert followed(log, Wanted(tail_lines=1, timestamps=True)) == b"2026-01-01T00:00:04.000000001Z 4\n"


def test_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.path.write_bytes(b'{"log":"torn\n')
    log.write(2)

    assert followed(log, Wanted()) == numbers(1, 2)
