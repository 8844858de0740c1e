"""What every pod has besides its defaults: admission adds it, and apply must know it so as not to see drift in it.

Not for templates: there it would change what people stated. Source: Kubernetes plug-ins DefaultTolerationSeconds,
Priority and ServiceAccount.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

from gitops.kinds.core.pod_types import Pod, PodSpec, Toleration
from gitops.kinds.lately import Lately

EVICTED_AFTER_SECONDS: Final = 300  # How long a pod stays on a node that is not ready.
TROUBLED: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def completed_pod(pod: Pod) -> Pod:
    """The pod with the service account, the priority and the tolerations that every pod has."""
    missing = _missing(cast(Mapping[str, Any], pod["spec"]))
    return {**pod, "spec": cast(PodSpec, {**pod["spec"], **missing})} if missing else pod


def _added(spec: Mapping[str, Any]) -> dict[str, Any]:
    account = spec.get("serviceAccountName") or "default"
    added: dict[str, Any] = {"serviceAccountName": account, "serviceAccount": account}
    if "priority" not in spec:
        added["priority"] = 0
    if "preemptionPolicy" not in spec:
        added["preemptionPolicy"] = "PreemptLowerPriority"
    present = spec.get("tolerations") or []
    missing = [_toleration(taint) for taint in TROUBLED if not any(_tolerates(one, taint) for one in present)]
    if missing:
        added["tolerations"] = [*present, *missing]
    return {name: value for name, value in added.items() if name not in spec or spec[name] != value}


_missing: Final = Lately(_added, but="nodeName")


def _toleration(taint: str) -> Toleration:
    return {
        "key": taint,
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": EVICTED_AFTER_SECONDS,
    }


def _tolerates(toleration: Toleration, taint: str) -> bool:
    return toleration.get("key", "") in ("", taint) and toleration.get("effect", "") in ("", "NoExecute")
