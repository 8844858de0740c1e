"""Which files of an app are read: the same choice for a commit and for a folder on disk.

Dot-folders, dot-files and what `.gitwardignore` names are left out. Only what would be read can be an error: a link, a
file that is too large. Folders with a kustomization or a chart are rendered instead.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gitops.sync.ignore import Ignore
from gitops.sync.render.roots import CHART, KUSTOMIZATIONS, Root, renders, within
from gitops.sync.source import BLOB, LINK, SUBMODULE, Entry

IGNORE_FILE: Final = ".gitwardignore"
YAML_ENDINGS: Final = (".yaml", ".yml")
JSON_ENDING: Final = ".json"
ENDINGS: Final = (*YAML_ENDINGS, JSON_ENDING)
FILE_BYTES_MAX: Final = 12 << 20  # Of several documents; one may have 3 MB.
_RENDERED: Final = (*KUSTOMIZATIONS, CHART)


@dataclass(frozen=True, slots=True)
class Selection:
    """`files`: to be parsed, in order of their paths. `problems` and `warnings`: lines that begin with `file:line:`."""

    files: tuple[Entry, ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def ignore_path(app_path: str) -> str:
    """Where an app's ignore file lies."""
    return f"{app_path}/{IGNORE_FILE}" if app_path else IGNORE_FILE


def roots_of(entries: Iterable[Entry], app_path: str, ignore: Ignore) -> tuple[Root, ...]:
    """The folders that are rendered instead of read."""
    return renders(
        entry.path
        for entry in entries
        if entry.mode in BLOB and not _is_left_out(entry.path, app_path, ignore)
    )


def select(
    entries: Iterable[Entry], app_path: str, ignore: Ignore, rendered: frozenset[str] = frozenset()
) -> Selection:
    """`entries`: everything below `app_path`, or that one file itself; `rendered`: folders that are not read here."""
    files: list[Entry] = []
    problems: list[str] = []
    warnings: list[str] = []
    for entry in sorted(entries):
        if _is_left_out(entry.path, app_path, ignore) or within(entry.path, rendered):
            continue
        name = entry.path.rpartition("/")[2]
        if entry.mode == SUBMODULE:
            warnings.append(f"{entry.path}:1: a submodule: what is in it is not read")
        elif entry.mode == LINK:
            if name.endswith(ENDINGS) or name in _RENDERED or entry.path == app_path:
                problems.append(
                    f"{entry.path}:1: a symbolic link: links are never followed; put the file itself here"
                )
        elif entry.mode not in BLOB:
            problems.append(f"{entry.path}:1: neither a file nor a folder (mode {entry.mode})")
        elif name.endswith(ENDINGS):
            if entry.size_bytes > FILE_BYTES_MAX:
                megabytes = (
                    f"{entry.size_bytes / (1 << 20):.1f} MB, at most {FILE_BYTES_MAX >> 20} MB are read"
                )
                problems.append(f"{entry.path}:1: {megabytes}")
            else:
                files.append(entry)
    return Selection(tuple(files), tuple(problems), tuple(warnings))


def _is_left_out(path: str, app_path: str, ignore: Ignore) -> bool:
    below = _below(path, app_path)
    return any(part.startswith(".") for part in below.split("/")) or ignore(below)


def _below(path: str, app_path: str) -> str:
    """The path as seen from the app's folder; an app that is one file is seen as its name."""
    if path == app_path:
        return path.rpartition("/")[2]
    return path[len(app_path) + 1 :] if app_path else path
