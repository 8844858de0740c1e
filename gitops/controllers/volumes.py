"""PersistentVolumes: their phase, what becomes of one whose claim is gone, and that none goes under a claim.

Source: kubernetes/pkg/controller/volume/{persistentvolume,pvprotection}. The data of a volume that Gitward made is
removed by its node, which takes its finalizer off then; if that node is gone for good, the volume goes without.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal, cast

from gitops.kinds.core.node import NODE
from gitops.kinds.core.storage import (
    DATA_FINALIZER,
    DRIVER,
    HOSTNAME,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    VOLUME_FINALIZER,
    PersistentVolume,
    PersistentVolumeClaim,
    hosts_of,
)
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, is_going, key_of, labels_of, timestamp, uid, with_meta
from gitops.reconcile import NOTHING, Controller, EventNote, Reader, Trigger, Writes

Phase = Literal["Available", "Bound", "Released", "Failed"]


def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
    """Tell a volume's phase; delete it when its claim is gone and its policy says so.

    Args:
        view: read are `key`, the claim that it names, and nodes.
        key: a PersistentVolume.
        now: UTC; of the change of its phase.
    Returns:
        Its status, its end, or what holds it: the finalizers that no longer have a reason.
    """
    volume = view.get(PERSISTENT_VOLUME, key)
    if volume is None:
        return NOTHING
    phase = _phase(view, volume)
    if is_going(volume):
        return _let_go(view, volume, phase)
    told = (volume.get("status") or {}).get("phase")
    if phase == "Released" and volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete":
        if _is_ours(volume):
            return Writes(delete=(key,))
        message = "no deletable volume plugin matched: remove its data and the PersistentVolume by hand"
        if told == "Failed":
            return NOTHING
        failed = _with_phase(volume, "Failed", now, message)
        return Writes(status=failed, events=(EventNote(volume, "Warning", "VolumeFailedDelete", message),))
    return Writes(status=_with_phase(volume, phase, now)) if told != phase else NOTHING


def _phase(view: Reader, volume: PersistentVolume) -> Phase:
    reference = volume["spec"].get("claimRef")
    if reference is None:
        return "Available"
    key = PERSISTENT_VOLUME_CLAIM.key(reference.get("namespace", ""), reference.get("name", ""))
    claim = view.get(PERSISTENT_VOLUME_CLAIM, key)
    if not reference.get("uid"):
        return "Available"  # Kept for a claim that has not come, or is not bound yet.
    return "Bound" if claim is not None and uid(claim) == reference["uid"] else "Released"


def _let_go(view: Reader, volume: PersistentVolume, phase: Phase) -> Writes:
    finalizers = volume["metadata"].get("finalizers") or []
    done = set()
    if phase != "Bound":
        done.add(VOLUME_FINALIZER)
        if volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain" or _is_nowhere(view, volume):
            done.add(DATA_FINALIZER)
    left = [one for one in finalizers if one not in done]
    return Writes(update=(with_meta(volume, finalizers=left),)) if left != finalizers else NOTHING


def _is_ours(volume: PersistentVolume) -> bool:
    csi = volume["spec"].get("csi")
    return csi is not None and csi["driver"] == DRIVER


def _is_nowhere(view: Reader, volume: PersistentVolume) -> bool:
    """Whether no node is left that could remove its data."""
    hosts = hosts_of(volume)
    return not any(labels_of(node).get(HOSTNAME) in hosts for node in view.list(NODE))


def _with_phase(volume: PersistentVolume, phase: Phase, now: datetime, message: str = "") -> PersistentVolume:
    status: dict[str, str] = {"phase": phase, "lastPhaseTransitionTime": timestamp(now)}
    if message:
        status |= {"message": message, "reason": "VolumeFailedDelete"}
    return cast(PersistentVolume, {**volume, "status": status})


def _of_claim(view: Reader, obj: KubeObject) -> Iterable[Key]:
    name = cast(PersistentVolumeClaim, obj)["spec"].get("volumeName")
    return (PERSISTENT_VOLUME.key("", name),) if name else ()


def _going(view: Reader, _: KubeObject) -> Iterable[Key]:
    return (key_of(one) for one in view.list(PERSISTENT_VOLUME) if is_going(one))


VOLUMES: Final = Controller(
    "persistent-volumes",
    reconcile,
    (
        Trigger("", "PersistentVolume", lambda _, obj: (key_of(obj),)),
        Trigger("", "PersistentVolumeClaim", _of_claim),
        Trigger("", "Node", _going),
    ),
    resync=lambda view: (key_of(one) for one in view.list(PERSISTENT_VOLUME)),
)
