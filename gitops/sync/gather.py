"""One commit of a source, from the mirror to checked objects. It blocks: for a thread, one caller at a time."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

from gitops.sync.compile import Compiled, File, Opener, compile_files
from gitops.sync.files import JSON_ENDING, Selection, ignore_path, roots_of, select
from gitops.sync.ignore import FILE_BYTES_MAX as IGNORE_BYTES_MAX
from gitops.sync.ignore import Ignore
from gitops.sync.render.parse import Failure
from gitops.sync.render.renderer import Rendered, Renderer
from gitops.sync.render.roots import Root
from gitops.sync.render.tree import CommitTree
from gitops.sync.render.unseal import VerifiedKey
from gitops.sync.source import BLOB, Entry, Mirror
from gitops.sync.zygote import Parser, unpacked

CACHE_BYTES_MAX: Final = 32 << 20  # 10,000 manifests take 10 MB.
BATCH_BYTES_MAX: Final = 32 << 20  # Of texts that are in memory at once.
LINE_LOOKUPS_MAX: Final = 200  # Per commit, each a child's work; then a document's own line must do.
MANIFEST_MARK: Final = b"apiVersion"


class Gatherer:
    """Reads and checks commits; remembers what blobs hold, so that a commit costs what it changes."""

    def __init__(self, parser: Parser, renderer: Renderer) -> None:
        self._parser, self._renderer = parser, renderer
        self._cache: OrderedDict[str, tuple[bytes, bool]] = (
            OrderedDict()
        )  # Blob id -> answer, looks like a manifest.
        self._cached_bytes = 0

    def gather(self, mirror: Mirror, commit: str, opener: Opener, verified_key: VerifiedKey) -> Compiled:
        """Errors of the mirror and the parser are raised; those of files are in the result."""
        app_path = mirror.path
        entries = mirror.ls_tree(commit)
        ignore = self._ignore(mirror, entries, app_path)
        roots = roots_of(entries, app_path, ignore)
        selection = select(entries, app_path, ignore, frozenset(root.folder for root in roots))
        if selection.problems:
            return Compiled((), selection.problems, selection.warnings, 0)
        rendered = self._rendered(mirror, commit, roots, verified_key)
        compiled = compile_files(
            [*self._files(mirror, selection), *(one.file for one in rendered if one.file is not None)],
            opener,
            _Lines(mirror, self._parser, selection),
        )
        problems = (*(problem for one in rendered for problem in one.problems), *compiled.problems)
        warned = (warning for one in rendered for warning in one.warnings)
        warnings = (*selection.warnings, *warned, *compiled.warnings)
        return Compiled(() if problems else compiled.objects, problems, warnings, compiled.ignored_files)

    def _rendered(
        self, mirror: Mirror, commit: str, roots: Sequence[Root], verified_key: VerifiedKey
    ) -> list[Rendered]:
        if not roots:
            return []
        tree = CommitTree(mirror.ls_tree(commit, whole=True), mirror.blobs)
        return self._renderer.render(self._renderer.jobs(roots, tree), tree, verified_key)

    def _ignore(self, mirror: Mirror, entries: Sequence[Entry], app_path: str) -> Ignore:
        wanted = ignore_path(app_path)
        for entry in entries:
            if entry.path == wanted and entry.mode in BLOB and entry.size_bytes <= IGNORE_BYTES_MAX:
                ((_, content),) = mirror.blobs([entry.id])
                return Ignore(content.decode(errors="replace"))
        return Ignore()

    def _files(self, mirror: Mirror, selection: Selection) -> list[File]:
        failures: dict[str, Failure] = {}
        batch: list[Entry] = []
        size = 0
        for entry in selection.files:
            if entry.id in self._cache:
                self._cache.move_to_end(entry.id)
                continue
            if batch and size + entry.size_bytes > BATCH_BYTES_MAX:
                self._parse(mirror, batch, failures)
                batch, size = [], 0
            batch.append(entry)
            size += entry.size_bytes
        self._parse(mirror, batch, failures)
        files = [self._file(entry, failures) for entry in selection.files]
        self._shrink()
        return files

    def _parse(self, mirror: Mirror, batch: Sequence[Entry], failures: dict[str, Failure]) -> None:
        contents = [
            (entry, content)
            for entry, (_, content) in zip(batch, mirror.blobs([e.id for e in batch]), strict=True)
        ]
        answers = (
            self._parser.parse([(entry.path, content) for entry, content in contents]) if contents else []
        )
        for (entry, content), answer in zip(contents, answers, strict=True):
            if isinstance(answer, Failure):  # Time and memory: may be better next time.
                failures[entry.id] = answer
            elif entry.id not in self._cache:
                self._cache[entry.id] = (answer, MANIFEST_MARK in content)
                self._cached_bytes += len(answer)

    def _file(self, entry: Entry, failures: Mapping[str, Failure]) -> File:
        if entry.id in failures:
            return File(entry.path, unpacked(failures[entry.id]))
        answer, has_mark = self._cache[entry.id]
        return File(entry.path, unpacked(answer), has_mark or not entry.path.endswith(JSON_ENDING))

    def _shrink(self) -> None:
        while self._cached_bytes > CACHE_BYTES_MAX:
            _, (answer, _) = self._cache.popitem(last=False)
            self._cached_bytes -= len(answer)


class _Lines:
    """Lines of fields by a second reading in the parser's child."""

    def __init__(self, mirror: Mirror, parser: Parser, selection: Selection) -> None:
        self._mirror, self._parser = mirror, parser
        self._ids = {entry.path: entry.id for entry in selection.files}
        self._found: dict[tuple[str, int], Mapping[str, int]] = {}

    def __call__(self, file: str, index: int) -> Mapping[str, int]:
        if file not in self._ids:
            return {}  # It was rendered: no line of a file is known.
        asked = (self._ids[file], index)
        if asked not in self._found and len(self._found) < LINE_LOOKUPS_MAX:
            ((_, content),) = self._mirror.blobs([asked[0]])
            self._found[asked] = self._parser.lines_of(content, index)
        return self._found.get(asked, {})
