"""What the files of one app state, file by file, at the newest commit that was read.

It holds keys and places, no objects: those are in the store once they are declared. Only the objects of files that
changed since are here, until they are declared too. So a look costs what a commit changes, and a commit that is held
back costs nothing more at the next look.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from gitops.kinds.keys import Key
from gitops.sync.compile import Sheet, Stated, stated_twice


class Place(NamedTuple):
    """Where an object is stated."""

    key: Key
    file: str
    line: int


class Page(NamedTuple):
    """What one file states. `sealed`: reading it needs a key; `again`: another reading may go better."""

    places: tuple[Place, ...] = ()
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    is_ignored: bool = False
    sealed: bool = False
    again: bool = False


class Turned(NamedTuple):
    """A file's new page, and its objects."""

    page: Page
    objects: tuple[Stated, ...] = ()


class Ledger:
    """The pages of one app.

    Attributes:
        fresh: path -> the objects of files that changed since the app was declared.
        declared: how many objects were declared, or are held; None: not known, so the store must be asked.
        held: keys that wait for a word before they go.
        ignored: how many files hold no manifest.
    """

    def __init__(self) -> None:
        self.fresh: dict[str, tuple[Stated, ...]] = {}
        self.declared: int | None = None
        self.held: frozenset[Key] = frozenset()
        self.ignored = 0
        self._touched: set[Key] = set()  # What the fresh files stated when the app was declared.
        self._pages: dict[str, Page] = {}
        self._files: dict[Key, tuple[str, ...]] = {}  # Who states a key, in order of paths.
        self._doubled: set[Key] = set()
        self._told: set[str] = set()  # Paths with a problem or a warning.

    def __len__(self) -> int:
        """How many objects are stated."""
        return len(self._files)

    def __contains__(self, path: str) -> bool:
        """Whether a file has a page."""
        return path in self._pages

    def turn(self, changes: Mapping[str, Turned | None]) -> None:
        """Take in the files that changed. None: the file is gone, or is not read any more."""
        for path, turned in changes.items():
            self._forget(path)
            self.fresh[path] = turned.objects if turned is not None else ()
            if turned is not None:
                self._pages[path] = turned.page
                self.ignored += turned.page.is_ignored
                for place in turned.page.places:
                    self._add(place.key, path)
                if turned.page.problems or turned.page.warnings:
                    self._told.add(path)

    def settle(self, held: frozenset[Key]) -> None:
        """All that is stated is declared now, and `held` waits."""
        self.fresh.clear()
        self._touched.clear()
        self.held = held
        self.declared = len(self._files) + len(held)

    def is_settled(self) -> bool:
        """Whether the store has all that is stated here, and nothing waits."""
        return self.declared is not None and not self.fresh and not self.held

    def gone(self) -> frozenset[Key]:
        """What was declared or held, and is not stated any more."""
        return frozenset(key for key in (*self._touched, *self.held) if key not in self._files)

    def keys(self) -> Iterator[Key]:
        """All that is stated."""
        return iter(self._files)

    def is_broken(self) -> bool:
        return bool(self._doubled) or any(self._pages[path].problems for path in self._told)

    def problems(self) -> list[str]:
        """In order of paths."""
        lines = [line for path in sorted(self._told) for line in self._pages[path].problems]
        return [*lines, *(line for key in sorted(self._doubled) for line in self._twice(key))]

    def warnings(self) -> list[str]:
        """In order of paths."""
        return [line for path in sorted(self._told) for line in self._pages[path].warnings]

    def unreadable(self) -> list[str]:
        """Files that may be read better the next time."""
        return [path for path in self._told if self._pages[path].again]

    def sealed(self) -> list[str]:
        """Files that another key may open."""
        return [path for path, page in self._pages.items() if page.sealed]

    def _twice(self, key: Key) -> Iterator[str]:
        places = [
            place for path in self._files[key] for place in self._pages[path].places if place.key == key
        ]
        for later in places[1:]:
            yield stated_twice(places[0], later)

    def _forget(self, path: str) -> None:
        page = self._pages.pop(path, None)
        self._told.discard(path)
        if page is None:
            return
        self.ignored -= page.is_ignored
        if path not in self.fresh:
            self._touched.update(place.key for place in page.places)
        for place in page.places:
            self._take(place.key, path)

    def _add(self, key: Key, path: str) -> None:
        files = self._files.get(key)
        if files is None:
            self._files[key] = (path,)
        else:
            self._files[key] = tuple(sorted((*files, path)))
            self._doubled.add(key)

    def _take(self, key: Key, path: str) -> None:
        files = list(self._files[key])
        files.remove(path)
        if len(files) < 2:
            self._doubled.discard(key)
        if files:
            self._files[key] = tuple(files)
        else:
            del self._files[key]


def page_of(sheet: Sheet, *, sealed: bool, again: bool) -> Turned:
    """A file's page and its objects."""
    places = tuple(Place(stated.key, stated.file, stated.line) for stated in sheet.objects)
    page = Page(places, sheet.problems, sheet.warnings, sheet.is_ignored, sealed, again)
    return Turned(page, sheet.objects)
