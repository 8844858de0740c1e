"""Which kinds there are, and how to find one by its names."""

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
from gitops.kinds.core.service_account import SERVICE_ACCOUNT
from gitops.kinds.core.storage import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM
from gitops.kinds.discovery import ENDPOINT_SLICE
from gitops.kinds.gitward import GIT_SOURCE
from gitops.kinds.kind import Kind
from gitops.kinds.networking import INGRESS, INGRESS_CLASS
from gitops.kinds.node import RUNTIME_CLASS
from gitops.kinds.official import OFFICIAL
from gitops.kinds.policy import POD_DISRUPTION_BUDGET
from gitops.kinds.scheduling import PRIORITY_CLASS
from gitops.kinds.storage import STORAGE_CLASS

AnyKind = Kind[Any]  # Of whatever object: who asks by a kind's name does not know its type.

ACTED_ON: Final[tuple[AnyKind, ...]] = (
    NAMESPACE,
    NODE,
    POD,
    SERVICE,
    CONFIG_MAP,
    SECRET,
    SERVICE_ACCOUNT,
    PERSISTENT_VOLUME_CLAIM,
    PERSISTENT_VOLUME,
    STORAGE_CLASS,
    EVENT,
    DEPLOYMENT,
    REPLICA_SET,
    INGRESS,
    INGRESS_CLASS,
    ENDPOINT_SLICE,
    ENDPOINTS,
    PRIORITY_CLASS,
    RUNTIME_CLASS,
    POD_DISRUPTION_BUDGET,
    LEASE,
    GIT_SOURCE,
)
ALL: Final[tuple[AnyKind, ...]] = ACTED_ON + OFFICIAL

_BY_KIND: Final = {(kind.group, kind.kind): kind for kind in ALL}
_BY_PLURAL: Final = {(kind.group, kind.plural): kind for kind in ALL}


def find(group: str, kind: str) -> AnyKind | None:
    """`find("apps", "Deployment")`; the core group is ''. Every served kind has one version."""
    return _BY_KIND.get((group, kind))


def find_resource(group: str, plural: str) -> AnyKind | None:
    """`find_resource("apps", "deployments")`, as URLs name it."""
    return _BY_PLURAL.get((group, plural))
