"""What a commit states that was never looked at, an unmerged branch for instance: as a look would read it, and no more.

Nothing is written, nothing of it is declared, and no signature is asked for, since nothing comes of it.
"""

from collections.abc import Collection

from gitops.kinds.commits import StatedCommit
from gitops.kinds.gitward import Claim, GitSource
from gitops.kinds.keys import Key
from gitops.sync.compile import Stated
from gitops.sync.following import Following, Tools
from gitops.sync.grants import Grant
from gitops.sync.source import Mirror


def stated_at(
    found: GitSource, grant: Grant, tools: Tools, name: str, reserved: Collection[str], running: set[Mirror]
) -> StatedCommit:
    """What `name` states: a commit's id, a branch, a tag or a full name (`refs/…`) of the source's remote. Blocks.

    It has a mirror's reader and a reading of its own beside those of the looks; one at a time, for it fetches to one
    place. `running` holds the mirror meanwhile, for whoever may have to `stop` it. Raises what a look raises; NotFound:
    the remote has no such commit.
    """
    following = Following(found, grant, tools)
    running.add(following.mirror)
    try:
        following.check_confined()
        commit = following.mirror.fetch_named(name)
        following.read(commit, reserved)
        return _told(following, commit)
    finally:
        running.discard(following.mirror)
        following.close()


def _told(following: Following, commit: str) -> StatedCommit:
    source = following.mirror.source.name
    claims: dict[Key, Claim] = {}
    problems: list[str] = []
    for app in following.apps():
        wrong = following.problems(app)
        problems += wrong
        if wrong:
            continue
        for objects in following.reading.ledgers[app.path].fresh.values():
            for one in objects:
                # Of two apps that state one object the first keeps it, as in a look.
                claims.setdefault(one.key, _claim(source, app.name, commit, one))
    return StatedCommit(commit, claims, tuple(problems))


def _claim(source: str, app: str, commit: str, one: Stated) -> Claim:
    return {
        "source": source,
        "app": app,
        "commit": commit,
        "file": one.file,
        "line": one.line,
        "state": "declared",
        "object": one.obj,
    }
