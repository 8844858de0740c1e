"""Texts that want to eat the master: refused in the parser's child, in time, with the other files unharmed."""

import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.sync.render.parse import Parsed
from gitops.sync.zygote import Parser, unpacked
from tests.integration.sync.repository import Followed, Repository, config_map, following

SECONDS_MAX = 2.0
MASTER_KIB_MAX = 64 << 10


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parser]:
    made = Parser(tmp_path_factory.mktemp("parser") / "empty")
    made.start()
    yield made
    made.close()


def laughs(levels: int) -> bytes:
    lines = ["a0: &a0 [" + ",".join("x" * 9) + "]"]
    lines += [f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 9)}]" for level in range(1, levels)]
    return "\n".join(lines).encode()


BOMBS = {
    "a billion laughs": laughs(10),
    "laughs by merging": b"a: &a {x: 1}\n" + b"\n".join(b"b%d: {<<: [*a, *a], y: [*a,*a]}" % n for n in range(40_000)),
    "100,000 levels": b"[" * 100_000,
    "100,000 levels of JSON": b'{"a":' * 100_000,
    "100,000 levels by dashes": b"- " * 100_000,
    "a text of 10 MB": b"a: " + b"x" * 10_000_000,
    "a long text many times": b"a: &a " + b"x" * 2_000_000 + b"\nb: [" + b",".join([b"*a"] * 50_000) + b"]",
    "a number of a million digits": b"a: " + b"9" * 1_000_000,
    "a key of a megabyte": b"? " + b"k" * 1_000_000 + b"\n: 1\n? " + b"k" * 1_000_000 + b"\n: 2\n",
    "a backtracking rule": b"sops: {mac: x, encrypted_regex: '(a+)+$'}\n" + b"a" * 60 + b"!: 1\n",
    "tags": b"a: !!python/object/apply:os.system [id]",
    "NULs": b"\0" * 1_000_000,
    "directives": b"%TAG ! !\n" * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_a_failure_of_its_file_alone(
    parser: Parser, bomb: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gitops.sync.zygote.FILE_SECONDS_MAX", 1.5)  # A bound of ours, made short.
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()

    answers = parser.parse([("bomb.yaml", bomb), ("good.yaml", b"a: 1")])

    assert time.monotonic() - began < SECONDS_MAX
    first, second = (unpacked(answer) for answer in answers)
    assert first.failure is not None
    assert second == Parsed(second.documents)
    assert second.documents[0].value == {"a": 1}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MASTER_KIB_MAX


def test_a_bomb_in_a_commit_is_one_line_and_the_last_good_state_stays(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit({"a.yaml": config_map("a")})

    async def story(followed: Followed) -> None:
        await followed.look()
        repository.commit({"bomb.yaml": laughs(10).decode()})
        assert not (await followed.look()).declared
        assert followed.lines == ["bomb.yaml:6: aliases stand for more than 100000 nodes"]
        assert followed.states() == {"a": "declared"}

    following(tmp_path, str(repository.folder), story)
