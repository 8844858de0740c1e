"""Pure: what is to be told of a source's newest commit. Pending from when it was seen, then how it ended."""

from enum import StrEnum
from typing import Final, NamedTuple

from gitops.kinds.gitward import CommitState, GitSource, GitSourceStatus

DESCRIPTION_CHARACTERS_MAX: Final = 140  # GitHub's limit; the others take more.


class State(StrEnum):
    """In our words; `forges.py` has each forge's."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"


class Report(NamedTuple):
    """What a forge is told about a commit."""

    commit: str
    state: State
    description: str


def wanted(source: GitSource) -> Report | None:
    """None: no commit was seen yet."""
    status = source.get("status") or GitSourceStatus()
    commit = status.get("commit") or CommitState()
    fetched = commit.get("fetched")
    if not fetched:
        return None
    if commit.get("live") == fetched:
        return Report(fetched, State.SUCCESS, "live")
    if commit.get("declared") == fetched:
        unapplied = status.get("unapplied") or ()
        if unapplied:
            return Report(fetched, State.FAILURE, _told(unapplied, "cannot be applied"))
        return Report(fetched, State.PENDING, "declared, going live")
    problems = status.get("problems") or ()
    if problems:
        return Report(fetched, State.FAILURE, _told(problems, "hold it back"))
    return Report(fetched, State.PENDING, "seen")


def is_posted(source: GitSource, report: Report) -> bool:
    """Whether the forge was told so last. Another description of the same state is not worth a call."""
    posted = (source.get("status") or GitSourceStatus()).get("posted")
    return posted is not None and (posted["commit"], posted["state"]) == (report.commit, report.state)


def _told(lines: list[str] | tuple[str, ...], what: str) -> str:
    text = lines[0] if len(lines) == 1 else f"{len(lines)} {what}: {lines[0]}"
    text = "".join(character if character.isprintable() else " " for character in text)
    return text if len(text) <= DESCRIPTION_CHARACTERS_MAX else f"{text[: DESCRIPTION_CHARACTERS_MAX - 1]}…"
