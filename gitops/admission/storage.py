"""What admission adds to claims and volumes: the default class, and that they stay while they are used.

Source: Kubernetes' plug-ins DefaultStorageClass and StorageObjectInUseProtection.
"""

from typing import cast

from gitops.kinds.core.storage import (
    CLAIM_FINALIZER,
    VOLUME_FINALIZER,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
)
from gitops.kinds.objects import T, with_meta
from gitops.kinds.storage import STORAGE_CLASS, is_default
from gitops.reconcile import Reader


def with_class(view: Reader, claim: PersistentVolumeClaim) -> PersistentVolumeClaim:
    """A claim that names no class gets the default one; of several the newest, then the first by name."""
    if claim["spec"].get("storageClassName") is not None:
        return claim
    defaults = [one for one in view.list(STORAGE_CLASS) if is_default(one)]
    if not defaults:
        return claim
    newest = max(one["metadata"].get("creationTimestamp", "") for one in defaults)
    chosen = next(one for one in defaults if one["metadata"].get("creationTimestamp", "") == newest)
    spec = {**claim["spec"], "storageClassName": chosen["metadata"].get("name", "")}
    return {**claim, "spec": cast(PersistentVolumeClaimSpec, spec)}


def protected_claim(view: Reader, claim: PersistentVolumeClaim) -> PersistentVolumeClaim:
    """A new claim: with its class, and not to be deleted under a pod."""
    return _with_finalizer(with_class(view, claim), CLAIM_FINALIZER)


def protected_volume(volume: PersistentVolume) -> PersistentVolume:
    """A new volume, not to be deleted under a claim."""
    return _with_finalizer(volume, VOLUME_FINALIZER)


def _with_finalizer(obj: T, name: str) -> T:
    present = obj["metadata"].get("finalizers") or []
    return obj if name in present else with_meta(obj, finalizers=[*present, name])
