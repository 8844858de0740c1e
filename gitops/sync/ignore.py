"""`.gitwardignore`: which files of a repository are not ours to read. Patterns as in `.gitignore`.

Matching takes no regular expressions: the patterns come from the repository, and a few stars make those take for ever.
Source: gitignore(5).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PATTERNS_MAX: Final = 1_000
FILE_BYTES_MAX: Final = 64_000


@dataclass(frozen=True, slots=True)
class _Pattern:
    parts: tuple[str, ...]
    negated: bool
    folders_only: bool
    anchored: bool


class Ignore:
    """The last pattern that matches decides. What lies below an ignored folder stays ignored."""

    def __init__(self, text: str = "") -> None:
        self._patterns = tuple(
            pattern for line in text.splitlines()[:PATTERNS_MAX] if (pattern := _pattern(line)) is not None
        )

    def __call__(self, path: str) -> bool:
        """`path` as seen from the folder of the ignore file."""
        if not self._patterns:
            return False
        parts = path.split("/")
        return any(self._decides(parts[: depth + 1], depth + 1 < len(parts)) for depth in range(len(parts)))

    def _decides(self, parts: Sequence[str], is_folder: bool) -> bool:
        ignored = False
        for pattern in self._patterns:
            if pattern.folders_only and not is_folder:
                continue
            if _matches(pattern.parts, parts if pattern.anchored else parts[-1:]):
                ignored = not pattern.negated
        return ignored


def _pattern(line: str) -> _Pattern | None:
    text = line.rstrip()
    if not text or text.startswith("#"):
        return None
    negated = text.startswith("!")
    text = text.removeprefix("!").removeprefix("\\")
    folders_only = text.endswith("/")
    text = text.rstrip("/")
    anchored = "/" in text
    parts = tuple(text.removeprefix("/").split("/"))
    return _Pattern(parts, negated, folders_only, anchored)


def _matches(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    """`**` stands for any number of folders. Greedy with one step back, so never worse than length times length."""
    at = place = 0
    star = mark = -1
    while place < len(parts):
        if at < len(pattern) and pattern[at] == "**":
            if at == len(pattern) - 1:
                return True
            star, mark, at = at, place, at + 1
        elif at < len(pattern) and matches_name(pattern[at], parts[place]):
            at, place = at + 1, place + 1
        elif star >= 0:
            mark += 1
            at, place = star + 1, mark
        else:
            return False
    return at == len(pattern)


def matches_name(pattern: str, text: str) -> bool:
    """One name: `*`, `?`, `[abc]`, `[!a-z]`, and a backslash before what is meant literally."""
    at = place = 0
    star = mark = -1
    while place < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, mark, at = at, place, at + 1
            continue
        fits, width = _one(pattern, at, text[place]) if at < len(pattern) else (False, 0)
        if fits:
            at, place = at + width, place + 1
        elif star >= 0:
            mark += 1
            at, place = star + 1, mark
        else:
            return False
    return all(character == "*" for character in pattern[at:])


def _one(pattern: str, at: int, character: str) -> tuple[bool, int]:
    """Whether the piece of the pattern at `at` takes a character, and how long the piece is."""
    first = pattern[at]
    if first == "?":
        return True, 1
    if first == "\\" and at + 1 < len(pattern):
        return pattern[at + 1] == character, 2
    end = pattern.find("]", at + 2)
    if first != "[" or end < 0:
        return first == character, 1
    inside = pattern[at + 1 : end]
    wanted = not inside.startswith(("!", "^"))
    inside = inside.lstrip("!^") if not wanted else inside
    found = any(
        inside[index] <= character <= inside[index + 2]
        for index in range(len(inside) - 2)
        if inside[index + 1] == "-"
    )
    return (found or character in inside) is wanted, end - at + 1
