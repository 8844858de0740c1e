"""Which taints a pod tolerates. Source: Kubernetes, "Taints and Tolerations"; k8s.io/component-helpers."""

from collections.abc import Iterable

from gitops.kinds.core.node import Taint
from gitops.kinds.core.pod_types import Toleration


def tolerates(tolerations: Iterable[Toleration], taint: Taint) -> bool:
    return any(tolerates_one(one, taint) for one in tolerations)


def tolerates_one(toleration: Toleration, taint: Taint) -> bool:
    """No effect means every effect; Exists without a key every taint."""
    if toleration.get("effect") and toleration.get("effect") != taint["effect"]:
        return False
    exists = toleration.get("operator") == "Exists"
    if not toleration.get("key"):
        return exists
    if toleration.get("key") != taint["key"]:
        return False
    return exists or (toleration.get("value") or "") == (taint.get("value") or "")
