"""What is to be rendered of a commit, and all that each render depends on. Kustomizations and Chart.yamls are read.

A kustomization that another one of the app uses is its base, and is not rendered by itself; a component or a library
chart never is.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

from gitops.kinds.errors import BadRequest
from gitops.kinds.yaml import Json
from gitops.sync.render.binaries import Binaries, Binary
from gitops.sync.render.charts import arguments, chart_of
from gitops.sync.render.parse import Failure
from gitops.sync.render.roots import KUSTOMIZATIONS, Root, astray, reach
from gitops.sync.render.tree import Tree
from gitops.sync.source import BLOB, LINK, Entry
from gitops.sync.zygote import Parser, unpacked

FOLDERS_MAX: Final = 5_000  # That the kustomizations of an app reach.
INPUT_FILES_MAX: Final = 10_000  # Of one render.
INPUT_BYTES_MAX: Final = 32 << 20
REMEMBERED_MAX: Final = 20_000  # Kustomizations and Chart.yamls.
_READ_BY_TOOLS: Final = (".yaml", ".yml", ".json", ".tpl", ".tgz")


@dataclass(frozen=True, slots=True)
class Job:
    """One root. `id` changes with anything that its result depends on; with `problems` it is not rendered.

    `namespace`: of a chart's release; None for a kustomization, which says it itself.
    """

    root: Root
    id: str
    arguments: tuple[str, ...] = ()
    inputs: tuple[Entry, ...] = ()
    binary: Binary | None = None
    namespace: str | None = None
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class _Folder:
    """What a kustomization says. `folders`: those that it reaches."""

    folders: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    is_component: bool = False


@dataclass(slots=True)
class _Wanted:
    """A job in the making."""

    root: Root
    folders: Sequence[str]
    files: Sequence[str] = ()
    arguments: tuple[str, ...] = ()
    namespace: str | None = None
    problems: list[str] = field(default_factory=list)


class Planner:
    """Remembers what kustomizations and Chart.yamls say, by blob id. Of one source: for one thread at a time."""

    def __init__(self, parser: Parser, binaries: Binaries) -> None:
        self._parser, self._binaries = parser, binaries
        self._known: OrderedDict[str, bytes | Failure] = OrderedDict()

    def jobs(self, roots: Sequence[Root], tree: Tree) -> tuple[Job, ...]:
        """What is to be rendered, without rendering it, in order of the roots; those that are only there for others are
        left out. A job of equal `id` has an equal result, but for keys."""
        self._learn(filter(None, (tree.find(root.file) for root in roots)), tree)
        wanted = [*self._kustomizations([root for root in roots if root.tool == "kubectl"], tree)]
        charts = (self._chart(root, tree) for root in roots if root.tool == "helm")
        wanted += [chart for chart in charts if chart is not None]
        jobs = tuple(self._job(one, tree) for one in sorted(wanted, key=lambda one: one.root))
        while len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)
        return jobs

    def _kustomizations(self, roots: Sequence[Root], tree: Tree) -> Iterator[_Wanted]:
        folders = self._folders([root.folder for root in roots], tree)
        reached = {root.folder: _closure(root.folder, folders) for root in roots}
        for root in roots:
            mine = reached[root.folder]
            used = any(root.folder in theirs and other not in mine for other, theirs in reached.items())
            if used or folders[root.folder].is_component:
                continue
            problems = [problem for folder in mine for problem in folders[folder].problems]
            yield _Wanted(
                root, mine, arguments=("kubectl", "kustomize", f"./{root.folder}"), problems=problems
            )

    def _folders(self, begin: Iterable[str], tree: Tree) -> dict[str, _Folder]:
        """Every folder that kustomizations reach, with what it says; breadth first, so that each step reads at once."""
        found: dict[str, _Folder] = {}
        frontier = list(dict.fromkeys(begin))
        while frontier:
            files = {folder: _kustomization(folder, tree) for folder in frontier}
            self._learn(filter(None, files.values()), tree)
            for folder, file in files.items():
                found[folder] = self._folder(folder, file, tree) if file is not None else _Folder()
            if len(found) > FOLDERS_MAX:
                raise BadRequest(f"kustomizations reach more than {FOLDERS_MAX} folders")
            reached = dict.fromkeys(path for folder in frontier for path in found[folder].folders)
            frontier = [path for path in reached if path not in found]
        return found

    def _folder(self, folder: str, file: Entry, tree: Tree) -> _Folder:
        value, problem = self._value(file)
        if problem:
            return _Folder(problems=(problem,))
        says = reach(value, folder, lambda path: bool(tree.find(path) or tree.below(path)))
        lost = astray(
            value, folder, lambda path: tree.find(path) is not None, lambda path: bool(tree.below(path))
        )
        problems = [f"{file.path}:1: {what}" for what in (*says.refused, *lost)]
        folders = []
        for path in says.paths:
            if tree.below(path):
                folders.append(path)
            elif (link := _link_on(path, tree)) is not None:
                problems.append(
                    f"{link}:1: a symbolic link: links are never followed; put the file itself here"
                )
        is_component = isinstance(value, dict) and value.get("kind") == "Component"
        return _Folder(tuple(folders), tuple(dict.fromkeys(problems)), is_component)

    def _chart(self, root: Root, tree: Tree) -> _Wanted | None:
        file = tree.find(root.file)
        if file is None or file.mode not in BLOB:
            return None  # A link, which is told where files are chosen.
        value, problem = self._value(file)
        if problem:
            return _Wanted(root, (root.folder,), problems=[problem])
        chart = chart_of(value, root.folder)
        if chart.is_library:
            return None
        problems = [f"{root.file}:1: {what}" for what in chart.problems]
        problems += [f"{root.file}:1: there is no file {path} for values" for path in chart.values
                     if (one := tree.find(path)) is None or one.mode not in BLOB]  # fmt: skip
        return _Wanted(
            root, (root.folder,), chart.values, arguments(chart, root.folder), chart.namespace, problems
        )

    def _job(self, wanted: _Wanted, tree: Tree) -> Job:
        root, problems = wanted.root, list(wanted.problems)
        entries = [entry for folder in _outermost(wanted.folders) for entry in tree.below(folder)]
        entries += [entry for path in wanted.files if (entry := tree.find(path)) is not None]
        inputs = tuple(sorted({entry for entry in entries if entry.mode in BLOB}))
        problems += [f"{entry.path}:1: a symbolic link: links are never followed; put the file itself here"
                     for entry in sorted(set(entries))
                     if entry.mode == LINK and entry.path.endswith(_READ_BY_TOOLS)]  # fmt: skip
        size_bytes = sum(entry.size_bytes for entry in inputs)
        if len(inputs) > INPUT_FILES_MAX or size_bytes > INPUT_BYTES_MAX:
            problems.append(
                f"{root.file}:1: it reaches {len(inputs)} files of {size_bytes >> 20} MB, at most {INPUT_FILES_MAX} of "
                f"{INPUT_BYTES_MAX >> 20} MB are handed to a renderer"
            )
        binary = None
        try:
            binary = self._binaries.find(root.tool)
        except BadRequest as error:
            problems.append(f"{root.file}:1: {error}")
        depends = [binary.sha256 if binary else "", wanted.arguments, wanted.namespace, problems,
                   [(entry.path, entry.id) for entry in inputs]]  # fmt: skip
        name = hashlib.sha256(orjson.dumps(depends)).hexdigest()
        told = tuple(dict.fromkeys(problems))
        return Job(root, name, wanted.arguments, inputs, binary, wanted.namespace, told)

    def _learn(self, files: Iterable[Entry], tree: Tree) -> None:
        """Read those that are not known yet, all at once."""
        new = [
            *{file.id: file for file in files if file.mode in BLOB and file.id not in self._known}.values()
        ]
        if not new:
            return
        contents = tree.read(new)
        named = [(file.path, content) for file, content in zip(new, contents, strict=True)]
        for file, answer in zip(new, self._parser.parse(named), strict=True):
            self._known[file.id] = answer

    def _value(self, file: Entry) -> tuple[Json, str]:
        """The one document, or why there is none as a line."""
        if file.mode not in BLOB:
            return None, f"{file.path}:1: a symbolic link: links are never followed; put the file itself here"
        parsed = unpacked(self._known[file.id])
        if parsed.failure is not None:
            return None, f"{file.path}:{parsed.failure.line}: {parsed.failure.what}"
        if len(parsed.documents) != 1:
            return None, f"{file.path}:1: found {len(parsed.documents)} documents, wanted one"
        return parsed.documents[0].value, ""


def _kustomization(folder: str, tree: Tree) -> Entry | None:
    paths = (f"{folder}/{name}" if folder else name for name in KUSTOMIZATIONS)
    return next((file for path in paths if (file := tree.find(path)) is not None), None)


def _closure(folder: str, folders: dict[str, _Folder]) -> list[str]:
    """The folder and all that it reaches, in order of reaching."""
    found = {folder: None}
    left = [folder]
    while left:
        for path in folders[left.pop()].folders:
            if path not in found:
                found[path] = None
                left.append(path)
    return list(found)


def _outermost(folders: Sequence[str]) -> list[str]:
    """Without those that lie within others."""
    kept: list[str] = []
    for folder in sorted(folders):
        if not any(folder == one or not one or folder.startswith(f"{one}/") for one in kept):
            kept.append(folder)
    return kept


def _link_on(path: str, tree: Tree) -> str | None:
    """A link at a path that is no folder, or on the way to it."""
    while path:
        if (entry := tree.find(path)) is not None:
            return path if entry.mode == LINK else None
        path = path.rpartition("/")[0]
    return None
