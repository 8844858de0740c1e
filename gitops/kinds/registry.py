"""Which kinds there are, and how to find one by its names."""

from difflib import get_close_matches
from typing import Any, Final

from gitops.kinds.apps import DEPLOYMENT, REPLICA_SET
from gitops.kinds.coordination import LEASE
from gitops.kinds.core.config import CONFIG_MAP, SECRET
from gitops.kinds.core.endpoints import ENDPOINTS
from gitops.kinds.core.event import EVENT
from gitops.kinds.core.namespace import NAMESPACE
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD
from gitops.kinds.core.service import SERVICE
from gitops.kinds.discovery import ENDPOINT_SLICE
from gitops.kinds.gitward import GIT_SOURCE
from gitops.kinds.kind import Kind
from gitops.kinds.networking import INGRESS, INGRESS_CLASS
from gitops.kinds.official import OFFICIAL
from gitops.kinds.scheduling import PRIORITY_CLASS

AnyKind = Kind[Any]  # Of whatever object: who asks by a kind's name does not know its type.

ACTED_ON: Final[tuple[AnyKind, ...]] = (
    NAMESPACE,
    NODE,
    POD,
    SERVICE,
    CONFIG_MAP,
    SECRET,
    EVENT,
    DEPLOYMENT,
    REPLICA_SET,
    INGRESS,
    INGRESS_CLASS,
    ENDPOINT_SLICE,
    ENDPOINTS,
    PRIORITY_CLASS,
    LEASE,
    GIT_SOURCE,
)
ALL: Final[tuple[AnyKind, ...]] = ACTED_ON + OFFICIAL

_GIVEN_UP: Final = "extensions"  # Where Deployments and Ingresses were first; none serves it since 1.22.
_BY_KIND: Final = {(kind.group, kind.kind): kind for kind in ALL}
_BY_PLURAL: Final = {(kind.group, kind.plural): kind for kind in ALL}


def find(group: str, kind: str) -> AnyKind | None:
    """`find("apps", "Deployment")`; the core group is ''. Every served kind has one version."""
    return _BY_KIND.get((group, kind))


def find_resource(group: str, plural: str) -> AnyKind | None:
    """`find_resource("apps", "deployments")`, as URLs name it."""
    return _BY_PLURAL.get((group, plural))


def mistake(api_version: str, kind: str) -> str | None:
    """What is wrong with a kind that is not found, where it can be nobody's: a version of Kubernetes (or ours) that has
    no such kind, or a group that Kubernetes gave up. None: a custom resource's, or a newer version's."""
    group = api_version.rpartition("/")[0]
    if group == _GIVEN_UP:
        now = [one.api_version for one in ALL if one.kind == kind]
        return f"no kind {kind} of {api_version} any more: it is {now[0]}" if now else None
    known = sorted(one.kind for one in ALL if one.api_version == api_version)
    if not known:
        return None
    lower = {one.lower(): one for one in known}
    close = get_close_matches(kind.lower(), lower, n=1, cutoff=0.6)
    if close:
        return f'no kind {kind} of {api_version}, did you mean "{lower[close[0]]}"?'
    elsewhere = [one.api_version for one in ALL if one.kind == kind]
    advice = f": it is {elsewhere[0]}" if elsewhere else ""
    return f"no kind {kind} of {api_version}{advice}"
