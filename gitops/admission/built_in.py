"""What Kubernetes' own admission adds to objects of some kinds: pods, namespaces and services.

Source: Kubernetes, registry/core/{pod,namespace,service}. What pods get is in `kinds/core/pod_admission.py`.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, cast

from gitops.admission import allocate, node_ports
from gitops.admission.priority import with_priority
from gitops.admission.runtime_class import with_runtime_class
from gitops.admission.service_account import with_account
from gitops.admission.settings import Settings
from gitops.admission.storage import protected_claim, protected_volume
from gitops.kinds.core.config import CONFIG_MAP, SEALED_FIELDS, SECRET, seal_values
from gitops.kinds.core.namespace import NAMESPACE, Namespace
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD, Pod, pod_condition, pod_status
from gitops.kinds.core.pod_admission import completed_pod
from gitops.kinds.core.service import SERVICE, Service
from gitops.kinds.core.storage import (
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    PersistentVolume,
    PersistentVolumeClaim,
)
from gitops.kinds.kind import Kind, Problem
from gitops.kinds.objects import Condition, KubeObject, T, is_going, labels_of, timestamp, with_meta
from gitops.kinds.sensitive import Sensitive
from gitops.reconcile import Reader

NAME_LABEL: Final = "kubernetes.io/metadata.name"
NAMESPACE_FINALIZER: Final = "kubernetes"


def without_status(kind: Kind[Any], obj: T) -> T:
    """A new object starts with an empty status where status has a road of its own. A Node may bring its own."""
    if "status" not in kind.subresources or kind is NODE or "status" not in obj:
        return obj
    return cast(T, {name: value for name, value in obj.items() if name != "status"})


def sealed(kind: Kind[Any], obj: T, old: KubeObject | None = None) -> T:
    """Secrets always, ConfigMaps once they hold anything sealed: what came encrypted stays sealed."""
    if kind is SECRET or (
        kind is CONFIG_MAP and (_holds_sealed(obj) or (old is not None and _holds_sealed(old)))
    ):
        return seal_values(obj)
    return obj


def _holds_sealed(obj: KubeObject) -> bool:
    body = cast(dict[str, Any], obj)
    return any(
        isinstance(leaf, Sensitive) for name in SEALED_FIELDS for leaf in (body.get(name) or {}).values()
    )


def created(view: Reader, kind: Kind[Any], obj: KubeObject, settings: Settings) -> KubeObject:
    """A new, defaulted object with what admission adds to its kind."""
    if kind is POD:
        completed = completed_pod(with_priority(view, cast(Pod, obj)))
        return with_account(view, with_runtime_class(view, completed))
    if kind is NAMESPACE:
        namespace = _labelled(cast(Namespace, obj))
        spec = {**namespace.get("spec", {}), "finalizers": [NAMESPACE_FINALIZER]}
        return cast(KubeObject, {**namespace, "spec": spec, "status": {"phase": "Active"}})
    if kind is SERVICE:
        return node_ports.with_node_ports(
            view, allocate.with_address(view, cast(Service, obj), settings), settings
        )
    if kind is PERSISTENT_VOLUME_CLAIM:
        return protected_claim(view, cast(PersistentVolumeClaim, obj))
    if kind is PERSISTENT_VOLUME:
        return protected_volume(cast(PersistentVolume, obj))
    return obj


def as_of_today(kind: Kind[Any], obj: KubeObject) -> KubeObject:
    """What is stored, with what an earlier version did not fill in yet: only then a change shows what was changed."""
    defaulted: KubeObject = kind.defaults(obj)
    return completed_pod(cast(Pod, defaulted)) if kind is POD else defaulted


def updated(
    view: Reader, kind: Kind[Any], old: KubeObject, new: KubeObject, settings: Settings
) -> KubeObject:
    """A changed, defaulted object with what admission adds to its kind."""
    if kind is POD:
        return completed_pod(cast(Pod, new))
    if kind is NAMESPACE:
        namespace = _labelled(cast(Namespace, new))
        # Only whoever empties a namespace that is being deleted may let it go.
        return (
            namespace
            if is_going(old)
            else cast(KubeObject, {**namespace, "spec": cast(Namespace, old)["spec"]})
        )
    if kind is SERVICE:
        kept = allocate.keep_address(cast(Service, old), cast(Service, new))
        kept = node_ports.keep_node_ports(cast(Service, old), kept)
        return node_ports.with_node_ports(view, allocate.with_address(view, kept, settings), settings)
    return new


def reported(kind: Kind[Any], old: KubeObject, new: KubeObject, now: datetime) -> KubeObject:
    """A new status. When a pod became ready, or not, is told by our clock: `minReadySeconds` is counted from there."""
    if kind is not POD or (condition := pod_condition(cast(Pod, new), "Ready")) is None:
        return new
    before = pod_condition(cast(Pod, old), "Ready")
    is_turned = before is None or before["status"] != condition["status"]
    since = None if is_turned or before is None else before.get("lastTransitionTime")
    stamped: Condition = {**condition, "lastTransitionTime": since or timestamp(now)}
    if stamped == condition:
        return new
    status = pod_status(cast(Pod, new))
    conditions = [stamped if one is condition else one for one in status.get("conditions") or ()]
    return cast(KubeObject, {**new, "status": {**status, "conditions": conditions}})


def check(
    view: Reader, kind: Kind[Any], obj: KubeObject, settings: Settings, old: KubeObject | None = None
) -> Iterator[Problem]:
    """Rules that need more than the object itself. `old`: what it replaces."""
    if kind is SERVICE:
        yield from allocate.check_address(view, cast(Service, obj), settings)
        yield from node_ports.check_outside(view, cast(Service, obj), settings, cast(Service | None, old))


def _labelled(namespace: Namespace) -> Namespace:
    name = namespace["metadata"].get("name", "")
    if labels_of(namespace).get(NAME_LABEL) == name:
        return namespace
    return with_meta(namespace, labels={**labels_of(namespace), NAME_LABEL: name})
