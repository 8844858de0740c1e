"""The files of a repository that a render may reach: those of a commit, or those of a folder on disk. Pure."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from gitops.sync.source import Entry


class Tree(Protocol):
    """Paths have no slash around them; '' is the whole repository."""

    def below(self, folder: str) -> Sequence[Entry]:
        """Every file below, at any depth, in order; empty if it is no folder."""
        ...

    def find(self, path: str) -> Entry | None:
        """The file, link or submodule of that path."""
        ...

    def read(self, entries: Sequence[Entry]) -> list[bytes]:
        """The contents, in order."""
        ...


class CommitTree:
    """A commit's tree, from its whole listing."""

    def __init__(
        self, entries: Iterable[Entry], read: Callable[[Sequence[str]], Iterable[tuple[str, bytes]]]
    ) -> None:
        """`read` gives (id, content) for blob ids, in order."""
        self._entries = sorted(entries)
        self._paths = [entry.path for entry in self._entries]
        self._read = read

    def below(self, folder: str) -> Sequence[Entry]:
        if not folder:
            return self._entries
        begin = bisect_left(self._paths, f"{folder}/")
        return self._entries[begin : bisect_left(self._paths, f"{folder}0")]  # '0' comes after '/'.

    def find(self, path: str) -> Entry | None:
        at = bisect_left(self._paths, path)
        return self._entries[at] if at < len(self._paths) and self._paths[at] == path else None

    def read(self, entries: Sequence[Entry]) -> list[bytes]:
        return [content for _, content in self._read([entry.id for entry in entries])]
