"""PersistentVolume and PersistentVolumeClaim (core/v1, API reference 1.35): their shapes, rules, and which fits which.

Sources of volumes that Gitward acts on: `csi` of its own driver (a directory on a node), `hostPath`, `local`, `nfs`.
"""

from collections.abc import Iterator
from typing import Any, Final, Literal, NotRequired, TypedDict, cast

from gitops.kinds import quantity, selectors, wording
from gitops.kinds.core.placement import NodeSelector
from gitops.kinds.core.volumes import HostPathVolumeSource, NFSVolumeSource
from gitops.kinds.filling import canonical_quantities, change, fill
from gitops.kinds.kind import Kind, Problem
from gitops.kinds.objects import KubeObject, is_going, labels_of
from gitops.kinds.official_tables import TABLES
from gitops.kinds.selectors import LabelSelector

DRIVER: Final = "gitward.io/local-path"  # Of directories that agents make under their data directory.
CLAIM_FINALIZER: Final = "kubernetes.io/pvc-protection"
VOLUME_FINALIZER: Final = "kubernetes.io/pv-protection"
DATA_FINALIZER: Final = (
    "gitward.io/local-path-data"  # Taken off by the node when it has removed the directory.
)
HOSTNAME: Final = "kubernetes.io/hostname"
ACCESS_MODES: Final = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")
SOURCES: Final = ("csi", "hostPath", "local", "nfs")

AccessMode = Literal["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"]


class ObjectReference(TypedDict):
    """`uid` absent: whoever bears the name."""

    kind: NotRequired[str]
    apiVersion: NotRequired[str]
    namespace: NotRequired[str]
    name: NotRequired[str]
    uid: NotRequired[str]
    resourceVersion: NotRequired[str]


class LocalVolumeSource(TypedDict):
    path: str


class CSIPersistentVolumeSource(TypedDict):
    driver: Literal["gitward.io/local-path"]
    volumeHandle: str


class VolumeNodeAffinity(TypedDict):
    required: NotRequired[NodeSelector]


class PersistentVolumeSpec(TypedDict):
    """After defaulting. Exactly one source is there."""

    accessModes: list[AccessMode]
    capacity: dict[str, str]
    persistentVolumeReclaimPolicy: Literal["Retain", "Delete"]
    volumeMode: Literal["Filesystem"]
    storageClassName: NotRequired[str]
    claimRef: NotRequired[ObjectReference]
    nodeAffinity: NotRequired[VolumeNodeAffinity]
    mountOptions: NotRequired[list[str]]  # Of nfs.
    hostPath: NotRequired[HostPathVolumeSource]
    local: NotRequired[LocalVolumeSource]
    nfs: NotRequired[NFSVolumeSource]
    csi: NotRequired[CSIPersistentVolumeSource]


class PersistentVolumeStatus(TypedDict):
    phase: NotRequired[Literal["Pending", "Available", "Bound", "Released", "Failed"]]
    message: NotRequired[str]
    reason: NotRequired[str]
    lastPhaseTransitionTime: NotRequired[str]


class PersistentVolume(KubeObject):
    spec: PersistentVolumeSpec
    status: NotRequired[PersistentVolumeStatus]


class VolumeResourceRequirements(TypedDict):
    requests: NotRequired[dict[str, str]]


class PersistentVolumeClaimSpec(TypedDict):
    accessModes: NotRequired[list[AccessMode]]
    volumeMode: Literal["Filesystem"]
    resources: NotRequired[VolumeResourceRequirements]
    storageClassName: NotRequired[str]  # '': of no class; absent: of the default one, once there is one.
    volumeName: NotRequired[str]
    selector: NotRequired[LabelSelector]


class PersistentVolumeClaimStatus(TypedDict):
    phase: NotRequired[Literal["Pending", "Bound", "Lost"]]
    accessModes: NotRequired[list[AccessMode]]
    capacity: NotRequired[dict[str, str]]


class PersistentVolumeClaim(KubeObject):
    spec: PersistentVolumeClaimSpec
    status: NotRequired[PersistentVolumeClaimStatus]


def requested_bytes(claim: PersistentVolumeClaim) -> int:
    return quantity.whole((claim["spec"].get("resources") or {}).get("requests", {}).get("storage") or "0")


def capacity_bytes(volume: PersistentVolume) -> int:
    return quantity.whole(volume["spec"]["capacity"].get("storage") or "0")


def is_for(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Whether the volume's claimRef names this very claim."""
    reference, meta = volume["spec"].get("claimRef"), claim["metadata"]
    return (
        reference is not None
        and reference.get("name") == meta.get("name")
        and reference.get("namespace") == meta.get("namespace")
        and reference.get("uid", "") in ("", meta.get("uid"))
    )


def fits(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Whether a volume that nobody else has can be this claim's, the node aside. Source: `FindMatchingVolume`."""
    spec, wanted = volume["spec"], claim["spec"]
    if is_going(volume) or (spec.get("claimRef") is not None and not is_for(volume, claim)):
        return False
    return (
        (spec.get("storageClassName") or "") == (wanted.get("storageClassName") or "")
        and spec["volumeMode"] == wanted["volumeMode"]
        and set(wanted.get("accessModes") or ()) <= set(spec["accessModes"])
        and capacity_bytes(volume) >= requested_bytes(claim)
        and (wanted.get("selector") is None or selectors.matches(wanted["selector"], labels_of(volume)))
    )


def hosts_of(volume: PersistentVolume) -> frozenset[str]:
    """The hostnames that its affinity names, as provisioned volumes have it."""
    required = (volume["spec"].get("nodeAffinity") or {}).get("required")
    return frozenset(
        value
        for term in (required["nodeSelectorTerms"] if required else ())
        for one in term.get("matchExpressions", ())
        if one["key"] == HOSTNAME and one["operator"] == "In"
        for value in one.get("values", ())
    )


def default_volume(volume: PersistentVolume) -> PersistentVolume:
    volume = fill(volume, spec={}, status={})
    volume = change(
        volume,
        "spec",
        lambda spec: fill(
            change(
                change(spec, "hostPath", lambda source: fill(source, type="")),
                "capacity",
                canonical_quantities,
            ),
            persistentVolumeReclaimPolicy="Retain",
            volumeMode="Filesystem",
            accessModes=[],
            capacity={},
        ),
    )
    return change(volume, "status", lambda status: fill(status, phase="Pending"))


def default_claim_spec(spec: PersistentVolumeClaimSpec) -> PersistentVolumeClaimSpec:
    """Of a claim, and of a template of claims."""
    resources = change(spec, "resources", lambda one: change(one, "requests", canonical_quantities))
    return fill(resources, volumeMode="Filesystem")


def default_claim(claim: PersistentVolumeClaim) -> PersistentVolumeClaim:
    claim = change(fill(claim, spec={}, status={}), "spec", default_claim_spec)
    return change(claim, "status", lambda status: fill(status, phase="Pending"))


def _check_modes(modes: list[AccessMode], field: str) -> Iterator[Problem]:
    if not modes:
        yield wording.required(field)
    for mode in modes:
        yield from wording.one_of(field, mode, ACCESS_MODES)
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        yield wording.forbidden(field, "may not use ReadWriteOncePod with other access modes")


def _check_storage(amounts: dict[str, str], field: str) -> Iterator[Problem]:
    amount = amounts.get("storage")
    if amount is None:
        yield wording.required(f"{field}[storage]")
        return
    try:
        if quantity.parse(amount) <= 0:
            yield wording.invalid(f"{field}[storage]", amount, "must be greater than zero")
    except ValueError as error:
        yield wording.invalid(f"{field}[storage]", amount, str(error))


def check_volume(volume: PersistentVolume) -> Iterator[Problem]:
    spec = volume["spec"]
    yield from _check_modes(spec["accessModes"], "spec.accessModes")
    yield from _check_storage(spec["capacity"], "spec.capacity")
    local = spec.get("local")
    if local is not None:
        path = local.get("path") or ""
        if not path.startswith("/") or ".." in path.split("/"):
            yield wording.invalid("spec.local.path", path, "must be an absolute path without '..'")
        if not (spec.get("nodeAffinity") or {}).get("required"):
            yield wording.required("spec.nodeAffinity", "Local volume requires node affinity")
    if (host := spec.get("hostPath")) is not None and ".." in (host.get("path") or "").split("/"):
        yield wording.invalid("spec.hostPath.path", host["path"], "must not contain '..'")
    if (csi := spec.get("csi")) is not None and not csi.get("volumeHandle"):
        yield wording.required("spec.csi.volumeHandle")


def check_volume_update(old: PersistentVolume, new: PersistentVolume) -> Iterator[Problem]:
    for source in SOURCES:
        if cast(Any, old["spec"]).get(source) != cast(Any, new["spec"]).get(source):
            yield wording.forbidden(
                "spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation"
            )
    if old["spec"]["volumeMode"] != new["spec"]["volumeMode"]:
        yield wording.invalid("spec.volumeMode", new["spec"]["volumeMode"], wording.IMMUTABLE)


def check_claim(claim: PersistentVolumeClaim) -> Iterator[Problem]:
    yield from check_claim_spec(claim["spec"], "spec")


def check_claim_spec(spec: PersistentVolumeClaimSpec, field: str) -> Iterator[Problem]:
    yield from _check_modes(spec.get("accessModes") or [], f"{field}.accessModes")
    yield from _check_storage(
        (spec.get("resources") or {}).get("requests") or {}, f"{field}.resources.requests"
    )


def check_claim_update(old: PersistentVolumeClaim, new: PersistentVolumeClaim) -> Iterator[Problem]:
    """A claim is what it is; its class and its volume are set once."""
    before, after = dict(old["spec"]), dict(new["spec"])
    for once in ("volumeName", "storageClassName"):
        if before.get(once) is None:
            before.pop(once, None)
            after.pop(once, None)
    if before != after:
        why = (
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound "
            "claims; volumes are not resized yet"
        )
        yield wording.forbidden("spec", why)


PERSISTENT_VOLUME: Final[Kind[PersistentVolume]] = Kind(
    "v1",
    "PersistentVolume",
    "persistentvolumes",
    namespaced=False,
    short=("pv",),
    subresources=("status",),
    shape=PersistentVolume,
    defaults=default_volume,
    check=check_volume,
    check_update=check_volume_update,
    columns=TABLES["PersistentVolume"].columns,
    cells=TABLES["PersistentVolume"].cells,
)
PERSISTENT_VOLUME_CLAIM: Final[Kind[PersistentVolumeClaim]] = Kind(
    "v1",
    "PersistentVolumeClaim",
    "persistentvolumeclaims",
    short=("pvc",),
    subresources=("status",),
    shape=PersistentVolumeClaim,
    defaults=default_claim,
    check=check_claim,
    check_update=check_claim_update,
    columns=TABLES["PersistentVolumeClaim"].columns,
    cells=TABLES["PersistentVolumeClaim"].cells,
)
