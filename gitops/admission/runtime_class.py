"""A pod's runtime class: it must be there, says what the pod takes besides, and to which nodes it may go.

Decided once, when the pod is made. Source: Kubernetes' plug-in RuntimeClass and pkg/util/tolerations, 1.35.
"""

from collections.abc import Sequence
from typing import Final, cast

from gitops.admission.refusal import forbidden
from gitops.kinds.core.amounts import amount_of
from gitops.kinds.core.pod import POD, Pod, Toleration
from gitops.kinds.core.pod_types import PodSpec
from gitops.kinds.errors import Forbidden
from gitops.kinds.node import RUNTIME_CLASS, RuntimeClass
from gitops.reconcile import Reader

ANOTHER_OVERHEAD: Final = "Pod's Overhead doesn't match RuntimeClass's defined Overhead"


def with_runtime_class(view: Reader, pod: Pod) -> Pod:
    """A new pod as its class completes it. Raises Forbidden for a class that does not exist or contradicts the pod."""
    spec = pod["spec"]
    name = spec.get("runtimeClassName")
    found = view.get(RUNTIME_CLASS, RUNTIME_CLASS.key("", name)) if name else None
    if name and found is None:
        raise _rejected(pod, f'RuntimeClass "{name}" not found')
    added = {**_overhead(pod, found), **(_scheduling(pod, found) if found is not None else {})}
    return {**pod, "spec": cast(PodSpec, {**spec, **added})} if added else pod


def _overhead(pod: Pod, found: RuntimeClass | None) -> dict[str, object]:
    stated = pod["spec"].get("overhead") or {}
    fixed = ((found.get("overhead") if found is not None else None) or {}).get("podFixed") or {}
    if stated and not fixed:
        raise _rejected(pod, "Pod Overhead set without corresponding RuntimeClass defined Overhead")
    if stated and _amounts(stated) != _amounts(fixed):
        raise _rejected(pod, ANOTHER_OVERHEAD)
    return {"overhead": fixed} if fixed else {}


def _amounts(stated: dict[str, str]) -> dict[str, int]:
    return {name: amount_of(name, text) for name, text in stated.items()}


def _scheduling(pod: Pod, found: RuntimeClass) -> dict[str, object]:
    scheduling = found.get("scheduling") or {}
    added: dict[str, object] = {}
    own, wanted = pod["spec"].get("nodeSelector") or {}, scheduling.get("nodeSelector") or {}
    for key, value in wanted.items():
        if own.get(key, value) != value:
            name = pod["metadata"].get("name", "")
            why = f"runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {own[key]}"
            raise forbidden(POD, name, f"conflict: {why}")
    if wanted:
        added["nodeSelector"] = {**own, **wanted}
    if tolerations := scheduling.get("tolerations"):
        added["tolerations"] = merged([*(pod["spec"].get("tolerations") or ()), *tolerations])
    return added


def merged(tolerations: Sequence[Toleration]) -> list[Toleration]:
    """Without those that another one covers; of two that are equal the first stays."""
    kept: list[Toleration] = []
    for index, one in enumerate(tolerations):
        later = (other for other in tolerations[index + 1 :] if other != one)
        if not any(_covers(other, one) for other in (*kept, *later)):
            kept.append(one)
    return kept


def _covers(wide: Toleration, one: Toleration) -> bool:
    if wide == one:
        return True
    exists = wide.get("operator") == "Exists"
    if one.get("key", "") != wide.get("key", "") and (wide.get("key") or not exists):
        return False
    if wide.get("effect") and one.get("effect", "") != wide.get("effect"):
        return False
    limit = wide.get("tolerationSeconds")
    if wide.get("effect") == "NoExecute" and limit is not None:
        own = one.get("tolerationSeconds")
        if own is None or own > limit:
            return False
    return exists or (
        one.get("operator", "Equal") == "Equal" and one.get("value", "") == wide.get("value", "")
    )


def _rejected(pod: Pod, why: str) -> Forbidden:
    return forbidden(POD, pod["metadata"].get("name", ""), f"pod rejected: {why}")
