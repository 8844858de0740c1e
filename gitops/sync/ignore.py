"""`.gitwardignore`: which files of a repository are not ours to read. Patterns as in `.gitignore`.

Matching takes no regular expressions: the patterns come from the repository, and a few stars make those take for ever.
What it takes is counted in comparisons, and who asks for too many of them is refused: 1,000 patterns full of stars and
100,000 long names would keep the master busy for minutes. Source: gitignore(5).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gitops.kinds.errors import Invalid

PATTERNS_MAX: Final = 1_000
FILE_BYTES_MAX: Final = 64_000
COMPARISONS_PER_FILE_MAX: Final = (
    2_000  # On average; a hundred patterns take about that many for an odd name.
)
COMPARISONS_AHEAD_MAX: Final = 100_000  # So that a few odd names beside few others are no error.
FOLDERS_KNOWN_MAX: Final = 10_000
_SPECIAL: Final = frozenset("*?[\\")


@dataclass(frozen=True, slots=True)
class _Pattern:
    parts: tuple[str, ...]
    negated: bool
    folders_only: bool
    anchored: bool


class Ignore:
    """The last pattern that matches decides. What lies below an ignored folder stays ignored.

    `comparisons`: what matching took so far. For one thread at a time.
    """

    def __init__(self, text: str = "", file: str = "") -> None:
        """`file`: where the patterns stand, for errors. Raises Invalid for too many of them."""
        self._patterns = tuple(
            pattern for line in text.splitlines() if (pattern := _pattern(line)) is not None
        )
        self._file = file or ".gitwardignore"
        self._folders: dict[str, bool] = {}
        self._asked = self.comparisons = 0
        if len(self._patterns) > PATTERNS_MAX:
            what = f"found {len(self._patterns)} patterns, at most {PATTERNS_MAX} are taken"
            raise Invalid(f"{self._file}:1: {what}: ignore a folder instead of each file in it")

    def __call__(self, path: str) -> bool:
        """`path` as seen from the folder of the ignore file. Invalid: the patterns take too many comparisons."""
        if not self._patterns:
            return False
        self._asked += 1
        parts = path.split("/")
        return any(self._is_folder_ignored(parts[:depth]) for depth in range(1, len(parts))) or self._decides(
            parts, False
        )

    def _is_folder_ignored(self, parts: Sequence[str]) -> bool:
        """Each folder is judged once, however many files lie in it."""
        path = "/".join(parts)
        if path not in self._folders:
            if len(self._folders) >= FOLDERS_KNOWN_MAX:
                self._folders.clear()
            self._folders[path] = self._decides(parts, True)
        return self._folders[path]

    def _decides(self, parts: Sequence[str], is_folder: bool) -> bool:
        """Backwards, since the last one that matches counts."""
        for pattern in reversed(self._patterns):
            if pattern.folders_only and not is_folder:
                continue
            for matched in _steps(pattern.parts, parts if pattern.anchored else parts[-1:]):
                self._count()
                if matched:
                    return not pattern.negated
        return False

    def _count(self) -> None:
        self.comparisons += 1
        if self.comparisons > COMPARISONS_AHEAD_MAX + COMPARISONS_PER_FILE_MAX * self._asked:
            raise Invalid(
                f"{self._file}:1: its patterns take more than {COMPARISONS_PER_FILE_MAX} comparisons for a file on "
                "average: use fewer patterns, with fewer stars (names without any and whole folders are the cheapest)"
            )


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


def _steps(pattern: Sequence[str], parts: Sequence[str]) -> Iterator[bool]:
    """One item per comparison; the last is True if the pattern matches, and none is else.

    `**` stands for any number of folders. Greedy with one step back, so never worse than length times length.
    """
    at = place = 0
    star = mark = -1
    while place < len(parts):
        if at < len(pattern) and pattern[at] == "**":
            if at == len(pattern) - 1:
                yield True
                return
            star, mark, at = at, place, at + 1
            continue
        fits = False
        if at < len(pattern):
            for fits in _name_steps(pattern[at], parts[place]):  # noqa: B007 # The last says whether it does.
                yield False
        if fits:
            at, place = at + 1, place + 1
        elif star >= 0:
            mark += 1
            at, place = star + 1, mark
        else:
            return
    if at == len(pattern):
        yield True


def matches_name(pattern: str, text: str) -> bool:
    """One name: `*`, `?`, `[abc]`, `[!a-z]`, and a backslash before what is meant literally."""
    return any(_name_steps(pattern, text))


def _name_steps(pattern: str, text: str) -> Iterator[bool]:
    """As `_steps`, of one name. Whole names are compared at once."""
    if _SPECIAL.isdisjoint(pattern):
        yield pattern == text
        return
    at = place = 0
    star = mark = -1
    while place < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, mark, at = at, place, at + 1
            continue
        yield False
        fits, width = _one(pattern, at, text[place]) if at < len(pattern) else (False, 0)
        if fits:
            at, place = at + width, place + 1
        elif star >= 0:
            mark += 1
            at, place = star + 1, mark
        else:
            return
    yield all(character == "*" for character in pattern[at:])


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
