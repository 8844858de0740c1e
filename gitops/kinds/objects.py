"""What every Kubernetes object has, and the questions that every room asks of one.

An object is a JSON dict and is never changed in place: a view hands the same one to everyone. A changed object is
`{**obj, "status": …}`, which shares what did not change. String leaves of secrets are `Sensitive`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NotRequired, TypedDict, TypeVar, cast

from gitops.kinds.keys import Key

TIMES_MAX: Final = (
    64  # What is decided in one round is stamped with one time, thousands of objects in a large one.
)
API_VERSIONS_MAX: Final = 1_024  # Whose groups are remembered: each object of the store is asked for its own.
SECONDS_CHARACTERS: Final = len("2026-01-01T00:00:00")  # Then comes the zone's offset.
MICROSECONDS_CHARACTERS: Final = len("2026-01-01T00:00:00.000000")


class OwnerReference(TypedDict):
    apiVersion: str
    kind: str
    name: str
    uid: str
    controller: NotRequired[bool]
    blockOwnerDeletion: NotRequired[bool]


class ManagedFieldsEntry(TypedDict):
    manager: str
    operation: str  # Apply or Update.
    apiVersion: str
    time: NotRequired[str]
    fieldsType: str  # FieldsV1.
    fieldsV1: dict[str, object]
    subresource: NotRequired[str]


class ObjectMeta(TypedDict):
    """Server-set fields (uid, resourceVersion, …) are there once an object was admitted."""

    name: NotRequired[str]
    generateName: NotRequired[str]
    namespace: NotRequired[str]
    uid: NotRequired[str]
    resourceVersion: NotRequired[str]
    generation: NotRequired[int]
    creationTimestamp: NotRequired[str]
    deletionTimestamp: NotRequired[str]
    deletionGracePeriodSeconds: NotRequired[int]
    labels: NotRequired[dict[str, str]]
    annotations: NotRequired[dict[str, str]]
    ownerReferences: NotRequired[list[OwnerReference]]
    finalizers: NotRequired[list[str]]
    managedFields: NotRequired[list[ManagedFieldsEntry]]


class KubeObject(TypedDict):
    apiVersion: str
    kind: str
    metadata: ObjectMeta


T = TypeVar("T", bound=KubeObject)


class Condition(TypedDict):
    type: str
    status: str  # True, False or Unknown.
    reason: NotRequired[str]
    message: NotRequired[str]
    lastTransitionTime: NotRequired[str]
    lastUpdateTime: NotRequired[str]
    lastProbeTime: NotRequired[str | None]
    observedGeneration: NotRequired[int]


@lru_cache(API_VERSIONS_MAX)
def group_of(api_version: str) -> str:
    """`apps/v1` -> `apps`, `v1` -> ''."""
    return api_version.rpartition("/")[0]


def key_of(obj: KubeObject) -> Key:
    meta = obj["metadata"]
    return Key(group_of(obj["apiVersion"]), obj["kind"], meta.get("namespace", ""), meta.get("name", ""))


def uid(obj: KubeObject) -> str:
    return obj["metadata"].get("uid", "")


def labels_of(obj: KubeObject) -> Mapping[str, str]:
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: KubeObject) -> Mapping[str, str]:
    return obj["metadata"].get("annotations") or {}


def is_going(obj: KubeObject) -> bool:
    """Being deleted: it has a deletionTimestamp."""
    return "deletionTimestamp" in obj["metadata"]


def controller_of(obj: KubeObject) -> OwnerReference | None:
    """The one owner reference with `controller: true`."""
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return reference
    return None


def owner_reference(owner: KubeObject) -> OwnerReference:
    """A controller reference to `owner`, as Kubernetes' controllers write it."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"].get("name", ""),
        "uid": uid(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def with_meta(obj: T, **changes: object) -> T:
    """A copy with some metadata fields set; a change to None removes the field."""
    meta = {**obj["metadata"], **changes}
    kept = {name: value for name, value in meta.items() if value is not None}
    return cast(T, {**obj, "metadata": kept})


@lru_cache(TIMES_MAX)
def timestamp(moment: datetime) -> str:
    """Kubernetes' `Time`: RFC 3339 in UTC, whole seconds."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")[:SECONDS_CHARACTERS] + "Z"


def micro_timestamp(moment: datetime) -> str:
    """Kubernetes' `MicroTime`, as leases and events carry it."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:MICROSECONDS_CHARACTERS] + "Z"


def moment_of(text: str) -> datetime:
    """The inverse of both; raises ValueError on anything that is not RFC 3339."""
    return datetime.fromisoformat(text)
