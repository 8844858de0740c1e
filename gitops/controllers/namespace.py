"""Namespace: one that is being deleted is emptied, pods first, and then let go.

Source: kubernetes/pkg/controller/namespace, 1.35, and NamespaceLifecycle: admission lets nothing new in meanwhile.
"""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Final, cast

from gitops.kinds.core.namespace import NAMESPACE, Namespace
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
        now: not used; each step waits for the one before, however long pods take to stop.
    Returns:
        Deletions of pods; when no pod is left, of everything else; when nothing is left, the namespace without its
        finalizer, which lets it vanish.
    """
    namespace = view.get(NAMESPACE, key)
    if namespace is None or not is_going(namespace):
        return NOTHING
    pods = list(view.list(POD, key.name))
    rest: Iterator[KubeObject] = iter(pods) if pods else view.list_namespace(key.name)
    doomed = tuple(key_of(obj) for obj in islice((obj for obj in rest if not is_going(obj)), DELETES_MAX))
    if doomed:
        return Writes(delete=doomed)
    if pods or any(True for _ in view.list_namespace(key.name)):
        return NOTHING
    finalizers = [one for one in namespace["spec"].get("finalizers") or () if one != FINALIZER]
    if finalizers == namespace["spec"].get("finalizers"):
        return NOTHING
    return Writes(status=cast(Namespace, {**namespace, "spec": {"finalizers": finalizers}}))


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
