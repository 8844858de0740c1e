"""Which files of an app are read: the same choice for a commit and for a folder on disk.

Dot-folders, dot-files and what `.gitwardignore` names are left out. Only what would be read can be an error: a link, a
file that is too large. Folders with a kustomization or a chart are rendered instead.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

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


class Verdict(NamedTuple):
    """What becomes of one file: read it, or tell a problem or a warning, or neither (then it is nobody's business)."""

    read: bool = False
    problem: str = ""
    warning: str = ""


SKIPPED: Final = Verdict()


def ignore_path(app_path: str) -> str:
    """Where an app's ignore file lies."""
    return f"{app_path}/{IGNORE_FILE}" if app_path else IGNORE_FILE


def roots_of(entries: Iterable[Entry], app_path: str, ignore: Ignore) -> tuple[Root, ...]:
    """The folders that are rendered instead of read."""
    return renders(
        entry.path
        for entry in entries
        if is_marker(entry) and not _is_left_out(_below(entry.path, app_path), ignore)
    )


def is_marker(entry: Entry) -> bool:
    """Whether a file may make its folder one that is rendered."""
    return entry.mode in BLOB and entry.path.rpartition("/")[2] in _RENDERED


def select(
    entries: Iterable[Entry], app_path: str, ignore: Ignore, rendered: frozenset[str] = frozenset()
) -> Selection:
    """`entries`: everything below `app_path`, or that one file itself; `rendered`: folders that are not read here."""
    judged = [(entry, judge(entry, app_path, ignore, rendered)) for entry in sorted(entries)]
    return Selection(
        tuple(entry for entry, verdict in judged if verdict.read),
        tuple(verdict.problem for _, verdict in judged if verdict.problem),
        tuple(verdict.warning for _, verdict in judged if verdict.warning),
    )


def judge(entry: Entry, app_path: str, ignore: Ignore, rendered: frozenset[str] = frozenset()) -> Verdict:
    """Each file is judged alone, so that a commit costs what it changes."""
    below = _below(entry.path, app_path)
    if _is_left_out(below, ignore) or (rendered and within(entry.path, rendered)):
        return SKIPPED
    name = below.rpartition("/")[2]
    if entry.mode == SUBMODULE:
        return Verdict(warning=f"{entry.path}:1: a submodule: what is in it is not read")
    if entry.mode == LINK:
        if name.endswith(ENDINGS) or name in _RENDERED or entry.path == app_path:
            return _wrong(entry, "a symbolic link: links are never followed; put the file itself here")
        return SKIPPED
    if entry.mode not in BLOB:
        return _wrong(entry, f"neither a file nor a folder (mode {entry.mode})")
    if not name.endswith(ENDINGS):
        return SKIPPED
    if entry.size_bytes > FILE_BYTES_MAX:
        return _wrong(
            entry, f"{entry.size_bytes / (1 << 20):.1f} MB, at most {FILE_BYTES_MAX >> 20} MB are read"
        )
    return Verdict(read=True)


def _is_left_out(below: str, ignore: Ignore) -> bool:
    return below.startswith(".") or "/." in below or ignore(below)


def _wrong(entry: Entry, what: str) -> Verdict:
    return Verdict(problem=f"{entry.path}:1: {what}")


def _below(path: str, app_path: str) -> str:
    """The path as seen from the app's folder; an app that is one file is seen as its name."""
    if path == app_path:
        return path.rpartition("/")[2]
    return path[len(app_path) + 1 :] if app_path else path
