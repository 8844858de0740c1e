"""`gitward rollback`: one new commit that undoes another, or all that is not live. Nothing but git is written.

Inside a clone of the source it commits there, on the followed branch; elsewhere in a temporary clone, which is only of
use with `--push`. The user's own git configuration and credentials are used.
"""

import asyncio
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import typer

from gitops.cli.usage import WrongUsage
from gitops.client import Client
from gitops.kinds.errors import BadRequest, GitwardError, NotFound
from gitops.kinds.gitward import GIT_SOURCE, GitSource
from gitops.kinds.printable import shown_text
from webhooks.urls import same_repository


class GitFailed(GitwardError):
    """git's own words."""


def run_rollback(kubeconfig: Path, source_name: str, *, commit: str, to: str, push: bool) -> None:
    """Make the commit, show its diff, push it if asked. Raises BadRequest, NotFound, GitFailed."""
    if commit and to:
        raise WrongUsage("give either COMMIT (undo it) or --to COMMIT (make the tree equal to it)")
    source = asyncio.run(_source(kubeconfig, source_name))
    here = _clone_here(source["spec"]["url"])
    if here is None and not push:
        raise BadRequest(
            f"this folder is no clone of {source['spec']['url']}: run it inside one, or with --push elsewhere"
        )
    if here is not None:
        _roll(here, source, commit=commit, to=to, push=push)
        return
    with tempfile.TemporaryDirectory(prefix="gitward-rollback.") as folder:
        clone = Path(folder) / "clone"
        branch = source["spec"].get("branch")
        _git(Path(folder), "clone", "--quiet", *(("--branch", branch) if branch else ()), "--", source["spec"]["url"],
             str(clone))  # fmt: skip
        _roll(clone, source, commit=commit, to=to, push=True)


def _roll(clone: Path, source: GitSource, *, commit: str, to: str, push: bool) -> None:
    branch = source["spec"].get("branch") or _git(clone, "rev-parse", "--abbrev-ref", "HEAD").strip()
    current = _git(clone, "rev-parse", "--abbrev-ref", "HEAD").strip()
    if current != branch:
        raise BadRequest(
            f"{clone}: on branch {current!r}, but the source follows {branch!r}: switch to it first"
        )
    if _git(clone, "status", "--porcelain", "--untracked-files=no").strip():
        raise BadRequest(f"{clone}: has uncommitted changes: commit or stash them first")
    stages = (source.get("status") or {}).get("commit") or {}
    fetched, live = stages.get("fetched", ""), stages.get("live", "")
    if to:
        _make_equal(clone, to)
    elif commit:
        _undo(clone, commit)
    elif not live:
        raise NotFound("no commit is live yet: nothing to roll back")
    elif fetched in ("", live):
        _undo(clone, live)
    else:
        _leave_behind(clone, fetched, live)
    diff = _git(clone, "show", "--stat", "--patch", "--format=commit %H%n%n    %s%n", "HEAD")
    typer.echo(shown_text(diff), nl=False)
    if _is_source(clone, source["spec"]["url"]):
        typer.echo(f"committed on {branch}, which is followed here")
    elif push:
        _git(clone, "push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
        typer.echo(f"pushed to {branch}")
    else:
        typer.echo(f"committed on {branch}; `git push` makes it so")


def _leave_behind(clone: Path, fetched: str, live: str) -> None:
    """Where the newest commit is held back or not live for another reason: to undo the live one would be to undo the
    wrong one. All that came after it goes. BadRequest: there are commits that nobody has looked at yet."""
    head = _git(clone, "rev-parse", "HEAD").strip()
    if head != fetched:
        raise BadRequest(
            f"{fetched[:7]} is not live, and {clone} is at {head[:7]}: `git pull` and `gitward sync` first, "
            "or say which commit to undo"
        )
    typer.echo(f"{fetched[:7]} is not live: back to {live[:7]}, which is")
    _make_equal(clone, live)


def _undo(clone: Path, commit: str) -> None:
    try:
        parents = _git(clone, "rev-list", "--parents", "-n", "1", "--end-of-options", commit).split()[1:]
    except GitFailed as error:
        raise NotFound(
            f"{clone}: commit {commit} is not here: `git pull` first, or look at `git log`"
        ) from error
    # A merge is undone against its first parent: the branch as it was before.
    mainline = ("--mainline", "1") if len(parents) > 1 else ()
    try:
        _git(clone, "revert", "--no-edit", *mainline, commit)
    except GitFailed as error:
        files = _git(clone, "diff", "--name-only", "--diff-filter=U").split("\n")
        with suppress(GitFailed):
            _git(clone, "revert", "--abort")
        if conflicts := ", ".join(name for name in files if name):
            raise GitFailed(
                f"{commit[:7]} cannot be undone alone: later commits changed the same lines of {conflicts}; "
                "nothing was changed; see --to COMMIT"
            ) from error
        raise


def _make_equal(clone: Path, commit: str) -> None:
    tree = _git(clone, "rev-parse", "--verify", "--end-of-options", f"{commit}^{{tree}}").strip()
    full = _git(clone, "rev-parse", "--verify", "--end-of-options", f"{commit}^{{commit}}").strip()
    if tree == _git(clone, "rev-parse", "HEAD^{tree}").strip():
        raise BadRequest(f"the tree is already that of {full[:7]}: nothing to commit")
    _git(clone, "read-tree", "-u", "--reset", tree)
    _git(clone, "commit", "--quiet", "--message", f"Roll back to {full[:7]}\n\nThe tree is that of {full}.")


def _clone_here(url: str) -> Path | None:
    """The top of the clone we stand in, if one of its remotes is the source, or it is the source itself."""
    here = Path.cwd()
    try:
        top = Path(_git(here, "rev-parse", "--show-toplevel").strip())
        if _is_source(top, url):
            return top
        remotes = _git(here, "config", "--get-regexp", r"^remote\..*\.url$")
    except GitFailed:
        return None
    urls = [line.split(" ", 1)[1] for line in remotes.splitlines()]
    return top if any(same_repository(found, url) for found in urls) else None


def _is_source(folder: Path, url: str) -> bool:
    """Whether the repository here is followed itself: a commit is enough, there is nowhere to push to."""
    return same_repository(str(folder), url.removeprefix("file://"))


async def _source(kubeconfig: Path, name: str) -> GitSource:
    async with Client.from_kubeconfig(kubeconfig) as client:
        sources = (await client.list(GIT_SOURCE)).items
    found = [source for source in sources if not name or source["metadata"].get("name") == name]
    if len(found) == 1:
        return found[0]
    known = ", ".join(str(source["metadata"].get("name")) for source in sources) or "none"
    raise NotFound(
        f"source {name!r} not found; known: {known}" if name else f"name one by --source; known: {known}"
    )


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise GitFailed(f"git {arguments[0]}: {(done.stderr or done.stdout).strip()}")
    return done.stdout
