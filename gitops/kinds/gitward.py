"""gitward.io: the kinds of our own. `GitSource` is a followed repository; `Declared` is what git states of one object.

Sync writes both; apply and people read them. A declared record lies in the store beside the live objects, under the
group `declared.gitward.io` and the kind `Deployment.apps` (core: `Pod`), and is not served by the API.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, Literal, NotRequired, TypedDict

from gitops.kinds.keys import Key
from gitops.kinds.kind import Kind, Problem
from gitops.kinds.objects import KubeObject
from gitops.kinds.source_spec import ForgeSpec as ForgeSpec
from gitops.kinds.source_spec import GitSourceSpec as GitSourceSpec
from gitops.kinds.source_spec import SecretReference as SecretReference
from gitops.kinds.source_spec import SourceApp as SourceApp
from gitops.kinds.source_spec import Verification as Verification
from gitops.kinds.source_spec import check_spec
from gitops.kinds.tables import Row, age_of, columns, name_of

DECLARED_GROUP: Final = "declared.gitward.io"
MANAGER: Final = "gitward"  # The field manager of everything that git states.


class Signer(TypedDict):
    """Whose signature of a commit was found good. `name`: the principal of the allowed signers, or the key's user id;
    `key`: its fingerprint, of GPG the primary key's."""

    name: str
    key: str


class Signed(Signer):
    commit: str


class Claim(TypedDict):
    """One app's statement of an object. Sync never deletes a record: it marks a claim `withdrawn` or `held`."""

    source: str
    app: str  # As the source itself where that names no apps.
    commit: str  # The commit in which this statement last changed.
    signer: NotRequired[Signer]  # Of that commit, where the source asked for signatures when it was accepted.
    file: str
    line: int
    state: Literal["declared", "withdrawn", "held"]
    # As stated, not defaulted; `metadata.namespace` filled in; leaves from encrypted files are Sensitive.
    object: KubeObject


class DeclaredStatus(TypedDict):
    """Written by apply. The first claim is live when `applied` equals its commit and there is no `problem`."""

    applied: NotRequired[str]
    problem: NotRequired[str]  # Why it cannot be applied; starts with `file:line:`.
    waiting: NotRequired[str]  # What it waits for (a namespace, an unknown kind); not an error.
    after: NotRequired[str]  # The object of the same commit that comes first, and will in a moment.
    kept: NotRequired[
        str
    ]  # Why its object stays though nobody declares it any more; starts with `file:line:`.


class Declared(KubeObject):
    claims: list[Claim]  # The first wins; later ones wait, naming the first.
    status: NotRequired[DeclaredStatus]


class PostedStatus(TypedDict):
    """What the forge was told last."""

    commit: str
    state: str


class CommitState(TypedDict):
    """Full commit ids. `fetched`: seen and not refused; `verified`: the newest whose signatures were asked for and
    found good; `declared`: the objects of all its apps are stated; `live`: all of them are applied."""

    fetched: NotRequired[str]
    verified: NotRequired[str]
    declared: NotRequired[str]
    live: NotRequired[str]


class CommitTimes(TypedDict):
    """When a commit reached each stage, as this master's clock saw it. A stage that it never reached is not there."""

    commit: str
    cause: NotRequired[str]  # As in `GitSourceStatus`.
    hook: NotRequired[
        Literal["lost", "late"]
    ]  # The timer found it, though hooks are awaited and came before.
    hooked: NotRequired[str]  # When the late one came.
    signer: NotRequired[Signer]
    fetched: NotRequired[str]
    declared: NotRequired[str]
    live: NotRequired[str]
    scheduled: NotRequired[str]  # Every pod of its workloads has a node.
    ready: NotRequired[str]  # All that it states is healthy.


class AppStatus(TypedDict):
    """An app that is held back."""

    name: str
    path: str
    declared: NotRequired[str]  # The newest commit of this app that is declared.
    problems: NotRequired[list[str]]  # The first; all stand in the source's own list.


class Followed(TypedDict):
    """What the declared set was made from. Where it differs from the spec, nothing is pruned without a word."""

    url: str
    branch: str
    path: str
    apps: list[SourceApp]


class GitSourceStatus(TypedDict):
    commit: NotRequired[CommitState]
    came: NotRequired[str]  # When the fetched commit was seen first.
    cause: NotRequired[str]  # What made us look then: hook, timer, asked, start or changed (the source).
    hookLost: NotRequired[bool]  # Whether a hook should have said so first: some came before, this did not.
    lastHook: NotRequired[str]  # When a hook came last.
    signed: NotRequired[Signed]  # The newest commit whose signature was asked for, and who made it.
    history: NotRequired[list[CommitTimes]]  # Newest first, at most `timeline.COMMITS_MAX`.
    problems: NotRequired[list[str]]  # Lines that start with `file:line:`; each holds its app back.
    warnings: NotRequired[list[str]]
    unapplied: NotRequired[
        list[str]
    ]  # Objects of the declared commit that cannot be applied: lines as `problems`.
    waiting: NotRequired[list[str]]  # Those that wait for something (a namespace, a kind, another source).
    held: NotRequired[list[str]]  # Objects whose deletion waits for the trailer `Gitward-Allow-Prune`.
    kept: NotRequired[list[str]]  # Objects that stay though the source does not declare them any more.
    posted: NotRequired[PostedStatus]
    lastLook: NotRequired[str]  # Of looks that find nothing new only one in five minutes is told.
    nextLook: NotRequired[str]  # The timer's; a hook or a person may come first.
    failures: NotRequired[int]  # How many looks in a row did not reach the remote.
    ignoredFiles: NotRequired[int]  # YAML without apiVersion and kind.
    renderers: NotRequired[
        list[str]
    ]  # What renders its folders: tool, version, SHA-256, path; how it is confined.
    appCount: NotRequired[int]
    apps: NotRequired[list[AppStatus]]  # Only those that are held back.
    followed: NotRequired[Followed]


class GitSource(KubeObject):
    spec: GitSourceSpec
    status: NotRequired[GitSourceStatus]


def _check(source: GitSource) -> Iterator[Problem]:
    return check_spec(source["spec"])


def _cells(source: GitSource, now: datetime) -> Row:
    spec, status = source["spec"], source.get("status") or GitSourceStatus()
    live = (status.get("commit") or CommitState()).get("live", "")
    problems = len(status.get("problems") or ())
    return name_of(source), spec["url"], spec.get("branch", ""), live[:7], problems, age_of(source, now)


GIT_SOURCE: Final[Kind[GitSource]] = Kind(
    "gitward.io/v1alpha1",
    "GitSource",
    "gitsources",
    namespaced=False,
    subresources=("status",),
    shape=GitSource,
    check=_check,
    columns=columns("Name", "URL", "Branch", "Live", "Problems", "Age", numbers=["Problems"]),
    cells=_cells,
)
DECLARED: Final[Kind[Declared]] = Kind(
    f"{DECLARED_GROUP}/v1", "Declared", "declared", shape=Declared
)  # For Reader.get.


def declared_key(key: Key) -> Key:
    """Where the record about `key` lies.

    (apps, Deployment, shop, web) -> (declared.gitward.io, Deployment.apps, shop, web).
    """
    return Key(DECLARED_GROUP, f"{key.kind}.{key.group}" if key.group else key.kind, key.namespace, key.name)


def live_key(key: Key) -> Key:
    """The inverse of `declared_key`. Kinds hold no dot, so the first dot parts kind and group."""
    kind, _, group = key.kind.partition(".")
    return Key(group, kind, key.namespace, key.name)


def first_claim(record: Declared) -> Claim:
    """The claim that counts: the first that stands; of a record that is on its way out the first."""
    return next((claim for claim in record["claims"] if claim["state"] == "declared"), record["claims"][0])
