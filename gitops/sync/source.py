"""A bare mirror of one source: fetch, list, read. Never a work tree: no file in it becomes one of this host."""

import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from gitops.kinds.errors import BadRequest, NotFound, Unavailable
from gitops.kinds.source_spec import SourceApp
from gitops.sync.access import Access, environment_for, write_config
from gitops.sync.apps import checked_path
from gitops.sync.catfile import CatFile
from gitops.sync.git import Output, checked_url, kill, run, shown_url
from gitops.sync.reach import Pin, pinned

FETCH_SECONDS_MAX: Final = 300.0
READ_SECONDS_MAX: Final = 60.0
ENTRIES_MAX: Final = 100_000
COMMITS_MAX: Final = 1_000  # How far back trailers are looked for.
PACKS_MAX: Final = 50  # Each fetch makes one; then they are joined, or reading would slow down.
HEAD: Final = "refs/gitward/head"
ASKED: Final = "refs/gitward/asked"  # What somebody asked for by name.
_ID: Final = re.compile(r"[0-9a-f]{4,64}")
_WHOLE_ID: Final = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
TRAILER: Final = "Gitward-Allow-Prune"

BLOB: Final = ("100644", "100755", "100664")
LINK: Final = "120000"
SUBMODULE: Final = "160000"


@dataclass(frozen=True, slots=True)
class Source:
    """What is followed. `branch` None: the remote's HEAD; `path` '': the whole repository; `apps` (): one app."""

    name: str
    url: str
    branch: str | None = None
    path: str = ""
    apps: tuple[SourceApp, ...] = ()
    allow_mac_only_encrypted: bool = False  # Secrets whose names and namespaces a SOPS MAC does not cover.


class Entry(NamedTuple):
    """A file of a commit. `size_bytes` is 0 for what is no blob; control characters in `path` are escaped."""

    path: str
    mode: str
    id: str
    size_bytes: int


class Commit(NamedTuple):
    """`allow_prune`: the values of its trailers `Gitward-Allow-Prune`, as written."""

    id: str
    author: str
    time: int  # Seconds since 1970.
    subject: str
    allow_prune: tuple[str, ...]


class Mirror:
    """One source's objects, in `<data>/sources/<name>/mirror.git`. It blocks: for a thread, one caller at a time."""

    def __init__(self, sources: Path, source: Source, access: Access) -> None:
        if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", source.name) or ".." in source.name:
            raise BadRequest(
                f"{source.name!r} is no name of a source: lower case letters, digits, '-' and '.' only"
            )
        self.source = source
        self._url = checked_url(source.url, trusted=access.trusted)
        self.access = access
        self._home = sources / source.name
        self._directory = self._home / "mirror.git"
        self._catfile: CatFile | None = None
        self._running: set[subprocess.Popen[bytes]] = set()
        self._pin: Pin | None = None  # Of what an object states; as of the last fetch.
        self._stopped = False
        if source.branch is not None:
            _check_branch(source.branch)
        self.path = checked_path(source.path)  # Without slashes around it.

    def fetch(self) -> str:
        """Fetch the branch; the full id of its newest commit. A failed fetch leaves the mirror as it was.

        Unavailable: not reached, or not let in; NotFound: no such branch, or nothing in it yet; BadRequest: a host that
        this source may not reach."""
        output = self._fetch(f"refs/heads/{self.source.branch}" if self.source.branch else "HEAD", HEAD)
        if output.status != 0:
            raise self._fetch_error(output)
        commit = self._reading().found(f"{HEAD}^{{commit}}")
        if commit is None:
            raise Unavailable(f"source {self.source.name}: what was fetched is no commit")
        self._join_packs()
        return commit

    def fetch_named(self, name: str) -> str:
        """The full id of a commit that is here already, by at least 4 digits of it, or that the remote has: by its
        whole id, as a branch, a tag or a full name (`refs/…`). NotFound: neither; else as `fetch`."""
        if _ID.fullmatch(name) and self._directory.is_dir():
            found = self._reading().found(f"{name}^{{commit}}")
            if found is not None:
                return found
        _check_branch(name)
        known = bool(_WHOLE_ID.fullmatch(name)) or name.startswith("refs/")
        for reference in (name,) if known else (f"refs/heads/{name}", f"refs/tags/{name}"):
            output = self._fetch(reference, ASKED)
            if output.status == 0:
                commit = self._reading().found(f"{ASKED}^{{commit}}")
                if commit is None:
                    break
                return commit
            if "couldn't find remote ref" not in output.stderr and "not our ref" not in output.stderr:
                raise self._fetch_error(output)
        raise NotFound(
            f"source {self.source.name}: {shown_url(self._url)} has no commit, branch or tag {name!r}: push it there "
            "first (to any branch), or give the whole id"
        )

    def has(self, commit: str) -> bool:
        """Whether the mirror knows a commit."""
        return self._directory.is_dir() and self._reading().found(f"{commit}^{{commit}}") is not None

    def is_rewritten(self, old: str, new: str) -> bool | None:
        """Whether the branch was rewritten between two looks: the old commit is no part of the new one's history.
        None: the history is not whole (the server's is shallow), so that it cannot be told."""
        if self.has(old):
            lost = self._asked(("rev-list", "--count", "--max-count=1", f"{new}..{old}", "--"))
            if lost.strip() == "0":
                return False
        return None if (self._directory / "shallow").exists() else True

    def ls_tree(self, commit: str, *, whole: bool = False) -> list[Entry]:
        """Every file below the source's path, or of the `whole` repository."""
        below = () if whole else self._below()
        output = self._asked(("ls-tree", "-r", "-z", "-l", "--full-tree", commit, *below))
        lines = output.split("\0")[:-1]
        self.check_count(commit, len(lines))
        return [_entry(line) for line in lines]

    def diff(self, old: str, new: str) -> dict[str, Entry | None]:
        """The files below the source's path that differ between two commits, as they are in the new one; None: gone."""
        output = self._asked(
            ("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", old, new, *self._below())
        )
        fields = output.split("\0")[:-1]
        self.check_count(new, len(fields) // 2)
        changed = [_changed(*fields[at : at + 2]) for at in range(0, len(fields), 2)]
        blobs = [entry.id for _, entry in changed if entry is not None and entry.mode in BLOB]
        sizes = dict(zip(blobs, self._reading().sizes(blobs), strict=True))
        return {
            path: entry._replace(size_bytes=sizes.get(entry.id, 0)) if entry else None
            for path, entry in changed
        }

    def check_count(self, commit: str, files: int) -> None:
        """Unavailable: more files than are read."""
        if files > ENTRIES_MAX:
            raise Unavailable(f"{self.shown(commit)}: {files} files, at most {ENTRIES_MAX} are read")

    def blobs(self, ids: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """(id, content) of each, in order. The caller knows their sizes from `ls_tree`."""
        try:
            yield from self._reading().contents(ids)
        except BaseException:
            self.close()  # Its pipe may hold half an answer.
            raise

    def commits_since(self, old: str | None, new: str) -> list[Commit]:
        """Newest first: `new` and all before it that `old` does not contain, at most COMMITS_MAX. Without `old`, or
        where it is unknown (a rewritten branch, a new mirror): only `new`."""
        known = old is not None and self.has(old)  # Of a rewritten branch too: its objects are kept.
        wanted = (f"--max-count={COMMITS_MAX}", f"{old}..{new}") if known else ("--max-count=1", new)
        form = f"%H%x00%an%x00%at%x00%s%x00%(trailers:key={TRAILER},valueonly,separator=%x1f)"
        fields = self._asked(("log", "-z", f"--format={form}", *wanted, "--")).split("\0")
        return [_commit(fields[at : at + 5]) for at in range(0, len(fields) - 4, 5)]

    def commit(self, commit: str) -> Commit:
        return self.commits_since(None, commit)[0]

    def close(self) -> None:
        """End the reader; the next read starts another."""
        if self._catfile is not None:
            self._catfile.close()
            self._catfile = None

    def stop(self) -> None:
        """End what runs, a fetch that takes long for instance, and run nothing more. From any thread; callers get
        Unavailable."""
        self._stopped = True
        for process in tuple(self._running):
            kill(process)

    def shown(self, commit: str) -> str:
        return f"source {self.source.name} @ {commit[:7]}"

    def git(
        self,
        arguments: tuple[str, ...],
        *,
        timeout_seconds: float = READ_SECONDS_MAX,
        more: Mapping[str, str] | None = None,
    ) -> Output:
        """Run git on the mirror, with what it may know of keys and hosts. `more`: of its environment."""
        if self._stopped:
            raise Unavailable(f"source {self.source.name}: the master stops")
        return run(
            (f"--git-dir={self._directory}", *arguments),
            environment={**self._environment(), **(more or {})},
            timeout_seconds=timeout_seconds,
            what=f"source {self.source.name}: {shown_url(self._url)}",
            running=self._running,
        )

    def _fetch(self, reference: str, into: str) -> Output:
        if not self.access.trusted:
            self._pin = pinned(self._url, self.access.networks)
        self._prepare()
        return self.git(
            ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--update-shallow",
             "--end-of-options", self._url, f"+{reference}:{into}"),
            timeout_seconds=FETCH_SECONDS_MAX,
        )  # fmt: skip

    def _below(self) -> tuple[str, ...]:
        return ("--", self.path) if self.path else ()

    def _reading(self) -> CatFile:
        if self._catfile is None:
            self._catfile = CatFile(self._directory, self._environment())
        return self._catfile

    def _join_packs(self) -> None:
        if len(list((self._directory / "objects" / "pack").glob("*.pack"))) > PACKS_MAX:
            self._asked(("repack", "-d", "-q", "--geometric=2"))

    def _prepare(self) -> None:
        if not (self._directory / "HEAD").exists():
            self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_config(self._home)
            environment = self._environment()
            arguments = ("init", "--quiet", "--bare", "--template=", str(self._directory))
            output = run(
                arguments, environment=environment, timeout_seconds=READ_SECONDS_MAX, what="git init"
            )
            if output.status != 0:
                raise Unavailable(f"{self._directory}: {_last_line(output.stderr)}")
        write_config(self._home)

    def _environment(self) -> dict[str, str]:
        return environment_for(self._url, self.access, self._home, self._pin)

    def _asked(self, arguments: tuple[str, ...]) -> str:
        output = self.git(arguments)
        if output.status != 0:
            raise Unavailable(f"source {self.source.name}: git {arguments[0]}: {_last_line(output.stderr)}")
        return output.stdout.decode(errors="backslashreplace")

    def _fetch_error(self, output: Output) -> NotFound | Unavailable:
        where = f"source {self.source.name}: {shown_url(self._url)}"
        said = output.stderr
        if "couldn't find remote ref" in said:
            if self.source.branch is None:
                return NotFound(f"{where}: the repository has no commit yet")
            branches = self._branches()
            has = f"it has: {', '.join(branches)}" if branches else "it has no branches"
            return NotFound(f"{where}: there is no branch {self.source.branch!r}; {has}")
        if re.search(
            r"Authentication failed|could not read (Username|Password)|Permission denied|HTTP 403|error: 40[13]",
            said,
        ):
            return Unavailable(f"{where}: the server does not let us in: {_last_line(said)}")
        if "Host key verification failed" in said:
            return Unavailable(f"{where}: the server's key is not in the known hosts; see --known-hosts")
        if "File size limit exceeded" in said or output.status in (-25, 153):
            return Unavailable(f"{where}: larger than the limit on a fetch")
        return Unavailable(f"{where}: cannot fetch: {_last_line(said)}")

    def _branches(self) -> list[str]:
        output = self.git(("ls-remote", "--heads", "--end-of-options", self._url))
        names = [
            line.partition("refs/heads/")[2] for line in output.stdout.decode(errors="replace").splitlines()
        ]
        return names[:10]


def _check_branch(branch: str) -> None:
    """The rules of `git check-ref-format`, before git sees the name."""
    bad = re.search(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)", branch)
    if bad or branch.startswith(("-", "/", ".")) or branch.endswith(("/", ".")) or branch in ("", "@"):
        raise BadRequest(f"{branch!r} is no name of a branch")


def _entry(line: str) -> Entry:
    """`100644 blob 8ab…      123\tapps/web.yaml`."""
    facts, _, path = line.partition("\t")
    mode, _, object_id, size = facts.split()
    return Entry(_shown(path), mode, object_id, int(size) if size != "-" else 0)


def _changed(facts: str, path: str) -> tuple[str, Entry | None]:
    """`:100644 100644 8ab… 9cd… M` and the path."""
    _, mode, _, object_id, _ = facts.split()
    entry = Entry(_shown(path), mode, object_id, 0)
    return entry.path, None if mode == "000000" else entry


def _shown(path: str) -> str:
    return path if path.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in path)


def _commit(fields: list[str]) -> Commit:
    commit, author, time, subject, trailers = fields
    values = tuple(value.strip() for value in trailers.split("\x1f") if value.strip())
    return Commit(commit.strip(), author, int(time), subject, values)


def _last_line(text: str) -> str:
    """What git says at the end, without its prefix; progress and hints come before."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(("fatal:", "error:"))]
    found = (fatal or lines or ["no reason given"])[0]
    found = re.sub(r" after \d+ ms", "", found)  # The same failure is the same message.
    return found.removeprefix("fatal: ").removeprefix("error: ")
