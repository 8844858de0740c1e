"""Namespace: one that is being deleted is emptied, pods first, and then let go.

Source: kubernetes/pkg/controller/namespace, 1.35, and NamespaceLifecycle: admission lets nothing new in meanwhile.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Final, cast

from gitops.controllers.conditions import with_condition
from gitops.kinds import registry
from gitops.kinds.core.namespace import NAMESPACE, Namespace, NamespaceStatus
from gitops.kinds.core.pod import POD
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, is_going, key_of
from gitops.reconcile import NOTHING, Controller, Reader, Trigger, Writes

DELETES_MAX: Final = 500  # Per round: one transaction must not stop the loop for long.
FINALIZER: Final = "kubernetes"  # In spec.finalizers of every namespace: this controller's hold on it.


def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
    """Take the next step of a namespace that is being deleted.

    Args:
        view: read are `key` and all live objects in it.
        key: a Namespace. If it is not going, nothing is written.
        now: UTC; what conditions get. Each step waits for the one before, however long pods take to stop.
    Returns:
        Deletions of pods; when no pod is left, of everything else; what is left and why in its conditions; when nothing
        is left, the namespace without its finalizer, which lets it vanish.
    """
    namespace = view.get(NAMESPACE, key)
    if namespace is None or not is_going(namespace):
        return NOTHING
    pods = list(view.list(POD, key.name))
    rest: Iterator[KubeObject] = iter(pods) if pods else view.list_namespace(key.name)
    doomed = tuple(key_of(obj) for obj in islice((obj for obj in rest if not is_going(obj)), DELETES_MAX))
    if doomed:
        return Writes(delete=doomed)
    left: list[KubeObject] = [*pods] or [*view.list_namespace(key.name)]
    if left:
        return _waiting(namespace, left, now)
    finalizers = [one for one in namespace["spec"].get("finalizers") or () if one != FINALIZER]
    if finalizers == namespace["spec"].get("finalizers"):
        return NOTHING
    return Writes(status=cast(Namespace, {**namespace, "spec": {"finalizers": finalizers}}))


def _waiting(namespace: Namespace, left: Sequence[KubeObject], now: datetime) -> Writes:
    """What is still there, in Kubernetes' conditions and words."""
    resources = Counter(_resource(obj) for obj in left)
    finalizers = Counter(one for obj in left for one in obj["metadata"].get("finalizers") or ())
    remaining = ", ".join(
        f"{name} has {number} resource instances" for name, number in sorted(resources.items())
    )
    held = ", ".join(f"{name} in {number} resource instances" for name, number in sorted(finalizers.items()))
    told = [
        ("NamespaceDeletionDiscoveryFailure", False, "ResourcesDiscovered", "All resources successfully discovered"),
        ("NamespaceDeletionGroupVersionParsingFailure", False, "ParsedGroupVersions",
         "All legacy kube types successfully parsed"),
        ("NamespaceDeletionContentFailure", False, "ContentDeleted",
         "All content successfully deleted, may be waiting on finalization"),
        ("NamespaceContentRemaining", True, "SomeResourcesRemain", f"Some resources are remaining: {remaining}"),
        ("NamespaceFinalizersRemaining", True, "SomeFinalizersRemain",
         f"Some content in the namespace has finalizers remaining: {held}") if held else
        ("NamespaceFinalizersRemaining", False, "ContentHasNoFinalizers",
         "All content-preserving finalizers finished"),
    ]  # fmt: skip
    before = (namespace.get("status") or NamespaceStatus()).get("conditions") or []
    after = before
    for condition in told:
        after = with_condition(after, *condition, now)
    if after == before:
        return NOTHING
    status = {**(namespace.get("status") or {}), "conditions": after}
    return Writes(status=cast(Namespace, {**namespace, "status": status}))


def _resource(obj: KubeObject) -> str:
    """`replicasets.apps`, `pods.`: Kubernetes' GroupResource with its dot."""
    key = key_of(obj)
    kind = registry.find(key.group, key.kind)
    return f"{kind.plural if kind else key.kind.lower()}.{key.group}"


def _of_content(view: Reader, obj: KubeObject) -> Iterator[Key]:
    """The namespace of an object, while it is being emptied."""
    name = obj["metadata"].get("namespace", "")
    key = NAMESPACE.key("", name)
    namespace = view.get(NAMESPACE, key) if name else None
    if namespace is not None and is_going(namespace):
        yield key


NAMESPACE_CONTROLLER: Final = Controller(
    "namespace",
    reconcile,
    (Trigger("", "Namespace", lambda _, obj: (key_of(obj),)), Trigger(None, None, _of_content)),
    resync=lambda view: (key_of(one) for one in view.list(NAMESPACE) if is_going(one)),
)
