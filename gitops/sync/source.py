"""A bare mirror of one source: fetch, list, read. Never a work tree: no file in it becomes one of this host."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from gitops.kinds.errors import BadRequest, NotFound, Unavailable
from gitops.sync.catfile import CatFile
from gitops.sync.git import Access, Output, checked_url, environment_for, run, shown_url, write_config

FETCH_SECONDS_MAX: Final = 300.0
READ_SECONDS_MAX: Final = 60.0
ENTRIES_MAX: Final = 100_000
COMMITS_MAX: Final = 1_000  # How far back trailers are looked for.
HEAD: Final = "refs/gitward/head"
TRAILER: Final = "Gitward-Allow-Prune"

BLOB: Final = ("100644", "100755", "100664")
LINK: Final = "120000"
SUBMODULE: Final = "160000"


@dataclass(frozen=True, slots=True)
class Source:
    """What is followed. `branch` None: the remote's HEAD; `path` '': the whole repository."""

    name: str
    url: str
    branch: str | None = None
    path: str = ""
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
        self._url = checked_url(source.url)
        self._access = access
        self._home = sources / source.name
        self._directory = self._home / "mirror.git"
        self._catfile: CatFile | None = None
        if source.branch is not None:
            _check_branch(source.branch)
        self.path = _checked_path(source.path)  # Without slashes around it.

    def fetch(self) -> str:
        """Fetch the branch; the full id of its newest commit. A failed fetch leaves the mirror as it was.

        Unavailable: not reached, or not let in; NotFound: no such branch, or nothing in it yet."""
        self._prepare()
        reference = f"refs/heads/{self.source.branch}" if self.source.branch else "HEAD"
        output = self._git(
            ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--end-of-options",
             self._url, f"+{reference}:{HEAD}"),
            timeout_seconds=FETCH_SECONDS_MAX,
        )  # fmt: skip
        if output.status != 0:
            raise self._fetch_error(output)
        return self._asked(
            ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{HEAD}^{{commit}}")
        ).strip()

    def has(self, commit: str) -> bool:
        """Whether the mirror knows a commit."""
        if not self._directory.is_dir():
            return False
        return self._git(("cat-file", "-e", f"{commit}^{{commit}}")).status == 0

    def ls_tree(self, commit: str, *, whole: bool = False) -> list[Entry]:
        """Every file below the source's path, or of the `whole` repository. NotFound: there is no such path in it."""
        below = ("--", self.path) if self.path and not whole else ()
        output = self._asked(("ls-tree", "-r", "-z", "-l", "--full-tree", commit, *below))
        lines = output.split("\0")[:-1]
        if len(lines) > ENTRIES_MAX:
            raise Unavailable(f"{self._name(commit)}: {len(lines)} files, at most {ENTRIES_MAX} are read")
        if not lines and self.path:
            raise NotFound(f"{self._name(commit)}: there is no path {self.path!r} in it")
        return [_entry(line) for line in lines]

    def blobs(self, ids: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """(id, content) of each, in order. The caller knows their sizes from `ls_tree`."""
        if self._catfile is None:
            self._catfile = CatFile(self._directory, self._environment())
        try:
            yield from self._catfile.contents(ids)
        except BaseException:
            self.close()  # Its pipe may hold half an answer.
            raise

    def commits_since(self, old: str | None, new: str) -> list[Commit]:
        """Newest first: `new` and all before it that `old` does not contain, at most COMMITS_MAX. Without `old`, or
        where it is unknown (a rewritten branch, a new mirror): only `new`."""
        known = old is not None and self.has(old)
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

    def _prepare(self) -> None:
        if not (self._directory / "HEAD").exists():
            self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_config(self._home / "gitconfig")
            environment = self._environment()
            arguments = ("init", "--quiet", "--bare", "--template=", str(self._directory))
            output = run(
                arguments, environment=environment, timeout_seconds=READ_SECONDS_MAX, what="git init"
            )
            if output.status != 0:
                raise Unavailable(f"{self._directory}: {_last_line(output.stderr)}")
        write_config(self._home / "gitconfig")

    def _environment(self) -> dict[str, str]:
        return environment_for(self._url, self._access, self._home / "gitconfig")

    def _git(self, arguments: tuple[str, ...], *, timeout_seconds: float = READ_SECONDS_MAX) -> Output:
        return run(
            (f"--git-dir={self._directory}", *arguments),
            environment=self._environment(),
            timeout_seconds=timeout_seconds,
            what=f"source {self.source.name}: {shown_url(self._url)}",
        )

    def _asked(self, arguments: tuple[str, ...]) -> str:
        output = self._git(arguments)
        if output.status != 0:
            raise Unavailable(f"source {self.source.name}: git {arguments[0]}: {_last_line(output.stderr)}")
        return output.stdout.decode(errors="backslashreplace")

    def _name(self, commit: str) -> str:
        return f"source {self.source.name} @ {commit[:7]}"

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
        output = self._git(("ls-remote", "--heads", "--end-of-options", self._url))
        names = [
            line.partition("refs/heads/")[2] for line in output.stdout.decode(errors="replace").splitlines()
        ]
        return names[:10]


def _check_branch(branch: str) -> None:
    """The rules of `git check-ref-format`, before git sees the name."""
    bad = re.search(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)", branch)
    if bad or branch.startswith(("-", "/", ".")) or branch.endswith(("/", ".")) or branch in ("", "@"):
        raise BadRequest(f"{branch!r} is no name of a branch")


def _checked_path(path: str) -> str:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in path:
        raise BadRequest(f"the path {path!r} leaves the repository")
    return "/".join(parts)


def _entry(line: str) -> Entry:
    """`100644 blob 8ab…      123\tapps/web.yaml`."""
    facts, _, path = line.partition("\t")
    mode, _, object_id, size = facts.split()
    shown = (
        path if path.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in path)
    )
    return Entry(shown, mode, object_id, int(size) if size != "-" else 0)


def _commit(fields: list[str]) -> Commit:
    commit, author, time, subject, trailers = fields
    values = tuple(value.strip() for value in trailers.split("\x1f") if value.strip())
    return Commit(commit.strip(), author, int(time), subject, values)


def _last_line(text: str) -> str:
    """What git says at the end, without its prefix; progress and hints come before."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(("fatal:", "error:"))]
    found = (fatal or lines or ["no reason given"])[0]
    return found.removeprefix("fatal: ").removeprefix("error: ")
