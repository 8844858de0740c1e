"""One commit of a source, from the mirror into the ledgers of its apps. It blocks: for a thread, one caller at a time.

Only files that differ from the commit before are listed, read, parsed and checked (`reading.py` says which).
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial

from gitops.kinds.errors import Invalid
from gitops.sync.apps import App
from gitops.sync.compile import File, Sheet, compile_file
from gitops.sync.files import Verdict
from gitops.sync.ignore import FILE_BYTES_MAX as IGNORE_BYTES_MAX
from gitops.sync.ignore import Ignore
from gitops.sync.ledger import Page, Turned, page_of
from gitops.sync.nested import checked_sources
from gitops.sync.parsing import Parsing
from gitops.sync.reading import Changes, Reading, Work
from gitops.sync.reading import Pages as AppPages
from gitops.sync.render.parse import Parsed
from gitops.sync.render.renderer import Renderer
from gitops.sync.render.tree import CommitTree
from gitops.sync.rendering import rendered_pages
from gitops.sync.secrets.opening import Keyring
from gitops.sync.secrets.sealed_secrets import is_sealed_secret
from gitops.sync.source import BLOB, Entry, Mirror
from gitops.sync.zygote import Parser

Compiler = Callable[[File], Sheet]


class Gatherer:
    """Reads and checks the commits of one source."""

    def __init__(self, mirror: Mirror, parser: Parser, renderer: Renderer) -> None:
        self._mirror, self._parsing, self._renderer = mirror, Parsing(mirror, parser), renderer
        self._planner = renderer.planner()

    def read(self, reading: Reading, commit: str, keyring: Keyring, reserved: Collection[str] = ()) -> None:
        """Bring `reading` to a commit. Errors of the mirror and the parser are raised and leave it as it was; those of
        files are in its ledgers. `reserved`: names of sources that git must not state."""
        work = Work(reading, self._changes(reading, commit), is_rekeyed=keyring is not reading.keyring)
        self._mirror.check_count(commit, len(work.files))
        choices = work.choices(self._ignore)
        allowed = self._mirror.source.allow_mac_only_encrypted
        opener = partial(keyring.open, allow_mac_only_encrypted=allowed)
        verified_key = partial(keyring.verified_key, allow_mac_only_encrypted=allowed)

        def compiled(file: File) -> Sheet:
            return checked_sources(compile_file(file, opener, self._parsing.lines), reserved)

        judged = {app: work.judged(app, choice) for app, choice in choices.items()}
        wanted = (
            work.apps[app][path] for app, paths in judged.items() for path, one in paths.items() if one.read
        )
        try:
            self._parsing.parse(entry for entry in wanted if entry is not None)
            turned: dict[App, AppPages] = {
                app: {path: self._turned(one, work.apps[app][path], compiled) for path, one in paths.items()}
                for app, paths in judged.items()
            }
            to_render = work.to_render(choices)
            tree = self._tree(work, commit) if to_render else None
            for app, choice in to_render.items():
                assert tree is not None, "made as soon as there is something to render"
                made = rendered_pages(
                    self._renderer,
                    self._planner,
                    choice.roots,
                    tree,
                    choice.jobs,
                    work.again.get(app, ()),
                    verified_key,
                    compiled,
                )
                turned.setdefault(app, {}).update(made.pages)
                choices[app] = replace(choice, jobs=made.jobs)
        finally:
            parsed = self._parsing.finish()
        reading.take_in(work, turned, choices)
        reading.commit, reading.keyring, reading.parsed_files = commit, keyring, parsed

    def _changes(self, reading: Reading, commit: str) -> Changes:
        if reading.commit == commit:
            return {}
        if reading.commit and self._mirror.has(reading.commit):
            return self._mirror.diff(reading.commit, commit)
        gone: Changes = dict.fromkeys(reading.files)
        return gone | {entry.path: entry for entry in self._mirror.ls_tree(commit)}

    def _ignore(self, entry: Entry) -> Ignore:
        if entry.mode not in BLOB:
            return Ignore()
        if entry.size_bytes > IGNORE_BYTES_MAX:
            raise Invalid(f"{entry.path}:1: {entry.size_bytes} bytes, at most {IGNORE_BYTES_MAX} are taken")
        ((_, content),) = self._mirror.blobs([entry.id])
        return Ignore(content.decode(errors="replace"), entry.path)

    def _tree(self, work: Work, commit: str) -> CommitTree:
        """The whole repository: a kustomization may reach beyond its app's folder."""
        entries = self._mirror.ls_tree(commit, whole=True) if self._mirror.path else work.files.values()
        return CommitTree(entries, self._mirror.blobs)

    def _turned(self, verdict: Verdict, entry: Entry | None, compiled: Compiler) -> Turned | None:
        if not verdict.read or entry is None:
            problems = (verdict.problem,) if verdict.problem else ()
            warnings = (verdict.warning,) if verdict.warning else ()
            return Turned(Page((), problems, warnings)) if problems or warnings else None
        file = self._parsing.file(entry)
        return page_of(compiled(file), sealed=_needs_key(file.parsed), again=self._parsing.failed(entry))


def _needs_key(parsed: Parsed) -> bool:
    """Whether another key may make something else of a file."""
    sealed = parsed.sealed is not None or bool(parsed.embedded)
    return sealed or any(is_sealed_secret(document.value) for document in parsed.documents)
