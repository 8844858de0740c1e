"""What every pod has besides its defaults: admission adds it, and apply must know it so as not to see drift in it.

Not for templates: there it would change what people stated. Source: Kubernetes plug-ins DefaultTolerationSeconds,
Priority and ServiceAccount; registry/core/pod/strategy.go (applyAppArmorVersionSkew) for profiles in annotations.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

from gitops.kinds.core.pod_types import Pod, PodSpec, Toleration
from gitops.kinds.lately import Lately
from gitops.kinds.objects import annotations_of

EVICTED_AFTER_SECONDS: Final = 300  # How long a pod stays on a node that is not ready.
APPARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"  # And a container's name.
_LOCALHOST: Final = "localhost/"
TROUBLED: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def completed_pod(pod: Pod) -> Pod:
    """The pod with the service account, the priority and the tolerations that every pod has, and with the AppArmor
    profiles that older manifests name in annotations: left there they would confine nobody."""
    missing = {**_missing(cast(Mapping[str, Any], pod["spec"])), **_confined(pod)}
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


def _confined(pod: Pod) -> dict[str, Any]:
    """The lists of containers of which one takes its profile from an annotation; a field that is stated counts more."""
    profiles = {
        name.removeprefix(APPARMOR): profile
        for name, text in annotations_of(pod).items()
        if name.startswith(APPARMOR) and (profile := _profile(text)) is not None
    }
    if not profiles:
        return {}
    spec, changed = cast(Mapping[str, Any], pod["spec"]), {}
    for kind in ("initContainers", "containers"):
        old = spec.get(kind) or []
        new = [_with_profile(container, profiles.get(container["name"])) for container in old]
        if new != old:
            changed[kind] = new
    return changed


def _profile(text: str) -> dict[str, str] | None:
    if text.startswith(_LOCALHOST):
        return {"type": "Localhost", "localhostProfile": text.removeprefix(_LOCALHOST)}
    kind = {"runtime/default": "RuntimeDefault", "unconfined": "Unconfined"}.get(text)
    return {"type": kind} if kind else None


def _with_profile(container: dict[str, Any], profile: dict[str, str] | None) -> dict[str, Any]:
    context = container.get("securityContext") or {}
    if profile is None or context.get("appArmorProfile") is not None:
        return container
    return {**container, "securityContext": {**context, "appArmorProfile": profile}}


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


def with_class(pod: Pod, live: Pod) -> Pod:
    """A pod as it is stated, with what its runtime class added to node selector and tolerations when it was made: both
    are atomic for whoever states them, and neither can lose anything."""
    spec, had, kept = pod["spec"], live["spec"], dict[str, Any]()
    if not spec.get("runtimeClassName"):
        return pod
    if (tolerations := had.get("tolerations")) and all(
        one in tolerations for one in spec.get("tolerations") or ()
    ):
        kept["tolerations"] = tolerations
    if (selector := had.get("nodeSelector")) and (spec.get("nodeSelector") or {}).items() <= selector.items():
        kept["nodeSelector"] = selector
    return {**pod, "spec": cast(PodSpec, {**spec, **kept})}
