"""PersistentVolumeClaims: bound to a volume that fits, or to a new directory on the node of the first pod that uses it.

Source: kubernetes/pkg/controller/volume/{persistentvolume,pvcprotection}. A claim of a class that waits for its first
consumer is bound when the scheduler has chosen a node for a pod of it: the node decides which volume it can be.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final, cast

from gitops.kinds.core.amounts import term_holds
from gitops.kinds.core.node import NODE, Node
from gitops.kinds.core.pod import POD, Pod, is_terminal
from gitops.kinds.core.storage import (
    CLAIM_FINALIZER,
    DATA_FINALIZER,
    DRIVER,
    HOSTNAME,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    PersistentVolume,
    PersistentVolumeClaim,
    capacity_bytes,
    fits,
    is_for,
)
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, annotations_of, is_going, key_of, labels_of, uid, with_meta
from gitops.kinds.storage import LATE, PROVISIONERS, STORAGE_CLASS, StorageClass
from gitops.reconcile import NOTHING, Controller, EventNote, Reader, Trigger, Writes

BIND_COMPLETED: Final = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER: Final = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY: Final = "pv.kubernetes.io/provisioned-by"
STORAGE_PROVISIONER: Final = "volume.kubernetes.io/storage-provisioner"
SELECTED_NODE: Final = "volume.kubernetes.io/selected-node"
WAITS_FOR: Final = "gitward.io/waits-for"  # The reason that was told last: a settled claim writes nothing.


def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
    """Bind a claim, tell whether it is bound, and let it go once no pod uses it.

    Args:
        view: read are `key`, its class, volumes, the pods of its namespace and nodes.
        key: a PersistentVolumeClaim.
        now: not used: nothing of a claim happens because time passes.
    Returns:
        The claim and its volume in one transaction, or the volume that is made for it: then the next look binds.
    """
    claim = view.get(PERSISTENT_VOLUME_CLAIM, key)
    if claim is None:
        return NOTHING
    if is_going(claim):
        return _let_go(view, claim)
    if name := claim["spec"].get("volumeName"):
        return _bound(view, claim, view.get(PERSISTENT_VOLUME, PERSISTENT_VOLUME.key("", name)))
    return _bind(view, claim)


def _let_go(view: Reader, claim: PersistentVolumeClaim) -> Writes:
    finalizers = claim["metadata"].get("finalizers") or []
    if CLAIM_FINALIZER not in finalizers or any(_holds_on(pod) for pod in _users(view, claim)):
        return NOTHING
    return Writes(
        update=(with_meta(claim, finalizers=[one for one in finalizers if one != CLAIM_FINALIZER]),)
    )


def _holds_on(pod: Pod) -> bool:
    """Whether a node may have its volumes mounted."""
    return bool(pod["spec"].get("nodeName")) and not is_terminal(pod)


def _bound(view: Reader, claim: PersistentVolumeClaim, volume: PersistentVolume | None) -> Writes:
    """A claim that names its volume."""
    phase = (claim.get("status") or {}).get("phase")
    if volume is None:
        if BIND_COMPLETED not in annotations_of(claim):
            return NOTHING  # Somebody has named a volume that may come yet.
        message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
        return _lost(claim, "ClaimLost", message) if phase != "Lost" else NOTHING
    if volume["spec"].get("claimRef") is not None and not is_for(volume, claim):
        message = f'volume "{volume["metadata"].get("name", "")}" already bound to a different claim.'
        if BIND_COMPLETED not in annotations_of(claim):
            return _told(view, claim, "FailedBinding", message)
        return _lost(claim, "ClaimMisbound", message) if phase != "Lost" else NOTHING
    return _joined(claim, volume)


def _joined(claim: PersistentVolumeClaim, volume: PersistentVolume) -> Writes:
    """Both name each other, and the claim tells what it got."""
    reference = volume["spec"].get("claimRef")
    update: tuple[KubeObject, ...] = ()
    if reference is None or not reference.get("uid"):
        spec = {**volume["spec"], "claimRef": _reference(claim)}
        marked = with_meta(volume, annotations={**annotations_of(volume), BOUND_BY_CONTROLLER: "yes"})
        update = (cast(PersistentVolume, {**marked, "spec": spec}),)
    wanted = with_meta(claim, annotations={**annotations_of(claim), BIND_COMPLETED: "yes"})
    told = {
        "phase": "Bound",
        "accessModes": list(volume["spec"]["accessModes"]),
        "capacity": dict(volume["spec"]["capacity"]),
    }
    named = {**claim["spec"], "volumeName": volume["metadata"].get("name", "")}
    wanted = cast(
        PersistentVolumeClaim, {**wanted, "spec": named, "status": {**claim.get("status", {}), **told}}
    )
    return Writes(update=update, status=None if wanted == claim else wanted)


def _bind(view: Reader, claim: PersistentVolumeClaim) -> Writes:
    name = claim["spec"].get("storageClassName") or ""
    found = view.get(STORAGE_CLASS, STORAGE_CLASS.key("", name)) if name else None
    node = None
    if found is not None and found["volumeBindingMode"] == LATE:
        node = _chosen_node(view, claim)
        if node is None:
            why = "waiting for first consumer to be created before binding"
            return _told(view, claim, "WaitForFirstConsumer", why, "Normal")
    candidates = [one for one in view.list(PERSISTENT_VOLUME) if fits(one, claim) and _reaches(one, node)]
    if candidates:
        best = min(
            candidates, key=lambda one: (not is_bound_for(one, claim), capacity_bytes(one), key_of(one))
        )
        return _joined(claim, best)
    if found is None:
        why = (
            f'storageclass.storage.k8s.io "{name}" not found'
            if name
            else "no persistent volumes available for this claim and no storage class is set"
        )
        return _told(
            view,
            claim,
            "ProvisioningFailed" if name else "FailedBinding",
            why,
            "Warning" if name else "Normal",
        )
    return _provisioned(view, claim, found, node or _emptiest_node(view))


def is_bound_for(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Whether somebody has kept the volume for this claim."""
    return volume["spec"].get("claimRef") is not None and is_for(volume, claim)


def _provisioned(
    view: Reader, claim: PersistentVolumeClaim, found: StorageClass, node: Node | None
) -> Writes:
    """A volume of its own: a directory that the node makes when the first pod mounts it."""
    provisioner = found["provisioner"]
    if provisioner not in PROVISIONERS:
        why = (
            f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by "
            "the system administrator; Gitward makes those of " + ", ".join(PROVISIONERS)
        )
        return _told(view, claim, "ExternalProvisioning", why, "Normal")
    if claim["spec"].get("selector") is not None:
        return _told(
            view, claim, "ProvisioningFailed", "claim.Spec.Selector is not supported for dynamic provisioning"
        )
    if node is None:
        return _told(view, claim, "ProvisioningFailed", "no node is ready to hold the volume")
    name = f"pvc-{uid(claim)}"
    hostname = labels_of(node).get(HOSTNAME) or node["metadata"].get("name", "")
    term = {"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": [hostname]}]}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": name,
            "annotations": {PROVISIONED_BY: provisioner},
            "finalizers": [DATA_FINALIZER],
        },
        "spec": {
            "capacity": dict((claim["spec"].get("resources") or {}).get("requests", {})),
            "accessModes": list(claim["spec"].get("accessModes", ())),
            "persistentVolumeReclaimPolicy": found["reclaimPolicy"],
            "storageClassName": found["metadata"].get("name", ""),
            "volumeMode": claim["spec"]["volumeMode"],
            "claimRef": _reference(claim),
            "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
            "csi": {"driver": DRIVER, "volumeHandle": name},
        },
    }
    marks = {STORAGE_PROVISIONER: provisioner, SELECTED_NODE: node["metadata"].get("name", "")}
    marked = with_meta(claim, annotations={**annotations_of(claim), **marks})
    named = cast(PersistentVolumeClaim, {**marked, "spec": {**claim["spec"], "volumeName": name}})
    note = EventNote(claim, "Normal", "ProvisioningSucceeded", f"Successfully provisioned volume {name}")
    return Writes(create=(cast(KubeObject, volume),), status=named, events=(note,))


def _reference(claim: PersistentVolumeClaim) -> dict[str, str]:
    meta = claim["metadata"]
    return {
        "kind": "PersistentVolumeClaim",
        "apiVersion": "v1",
        "namespace": meta.get("namespace", ""),
        "name": meta.get("name", ""),
        "uid": uid(claim),
    }


def _users(view: Reader, claim: PersistentVolumeClaim) -> Iterator[Pod]:
    meta = claim["metadata"]
    return (
        pod for pod in view.list(POD, meta.get("namespace", "")) if meta.get("name", "") in claims_of(pod)
    )


def claims_of(pod: Pod) -> frozenset[str]:
    """The names of the claims that a pod mounts."""
    volumes = pod["spec"].get("volumes") or ()
    return frozenset(
        one["persistentVolumeClaim"]["claimName"] for one in volumes if "persistentVolumeClaim" in one
    )


def _chosen_node(view: Reader, claim: PersistentVolumeClaim) -> Node | None:
    """Of the first pod that uses it and has one."""
    names = (
        pod["spec"].get("nodeName")
        for pod in _users(view, claim)
        if not is_terminal(pod) and not is_going(pod)
    )
    return next((node for name in names if name and (node := view.get(NODE, NODE.key("", name)))), None)


def _emptiest_node(view: Reader) -> Node | None:
    """Where a volume goes that waits for no pod: to the node with the fewest volumes, the first by name."""
    nodes = [one for one in view.list(NODE) if not is_going(one) and not one["spec"].get("unschedulable")]
    volumes = list(view.list(PERSISTENT_VOLUME))
    return min(nodes, key=lambda node: sum(_is_only_on(one, node) for one in volumes), default=None)


def _is_only_on(volume: PersistentVolume, node: Node) -> bool:
    return "nodeAffinity" in volume["spec"] and _reaches(volume, node)


def _reaches(volume: PersistentVolume, node: Node | None) -> bool:
    """Whether the volume can be mounted on this node; None: on any."""
    required = (volume["spec"].get("nodeAffinity") or {}).get("required")
    if required is None or node is None:
        return True
    name, labels = node["metadata"].get("name", ""), labels_of(node)
    return any(term_holds(cast("dict[str, Any]", one), name, labels) for one in required["nodeSelectorTerms"])


def _lost(claim: PersistentVolumeClaim, reason: str, message: str) -> Writes:
    status = {**(claim.get("status") or {}), "phase": "Lost"}
    told = cast(PersistentVolumeClaim, {**claim, "status": status})
    return Writes(status=told, events=(EventNote(claim, "Warning", reason, message),))


def _told(
    view: Reader, claim: PersistentVolumeClaim, reason: str, message: str, kind: str = "Warning"
) -> Writes:
    """An event, once: what keeps a claim waiting is told again only when it is another reason."""
    if annotations_of(claim).get(WAITS_FOR) == reason:
        return NOTHING
    marked = with_meta(claim, annotations={**annotations_of(claim), WAITS_FOR: reason})
    note = EventNote(claim, cast(Any, kind), reason, message)
    return Writes(status=marked, events=(note,))


def _of_pod(_: Reader, obj: KubeObject) -> Iterable[Key]:
    pod = cast(Pod, obj)
    namespace = pod["metadata"].get("namespace", "")
    return (PERSISTENT_VOLUME_CLAIM.key(namespace, name) for name in claims_of(pod))


def _of_volume(view: Reader, obj: KubeObject) -> Iterable[Key]:
    """The claim that it names; of a free one every claim that waits."""
    reference = cast(PersistentVolume, obj)["spec"].get("claimRef")
    if reference is not None:
        return (PERSISTENT_VOLUME_CLAIM.key(reference.get("namespace", ""), reference.get("name", "")),)
    return _waiting(view, obj)


def _waiting(view: Reader, _: KubeObject) -> Iterable[Key]:
    claims = view.list(PERSISTENT_VOLUME_CLAIM)
    return (key_of(one) for one in claims if (one.get("status") or {}).get("phase") != "Bound")


CLAIMS: Final = Controller(
    "persistent-volume-claims",
    reconcile,
    (
        Trigger("", "PersistentVolumeClaim", lambda _, obj: (key_of(obj),)),
        Trigger("", "PersistentVolume", _of_volume),
        Trigger("", "Pod", _of_pod),
        Trigger("storage.k8s.io", "StorageClass", _waiting),
    ),
    resync=lambda view: (key_of(one) for one in view.list(PERSISTENT_VOLUME_CLAIM)),
)
