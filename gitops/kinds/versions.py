"""Versions of kinds that Gitward does not serve: what was removed and what took its place, what is mistyped, and what
is taken as the version that is served.

Source: Kubernetes' Deprecated API Migration Guide; pkg/apis/autoscaling/v1/conversion.go.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final, NamedTuple, cast

from gitops.kinds import registry
from gitops.kinds.kind import Problem
from gitops.kinds.objects import KubeObject, group_of

HPA_V1: Final = "autoscaling/v1"
_HPA: Final = "HorizontalPodAutoscaler"
_TARGET: Final = "targetCPUUtilizationPercentage"
# What autoscaling/v1 has no fields for, kubectl of old kept in annotations, in words of versions that are gone.
_ANNOTATIONS: Final = ("autoscaling.alpha.kubernetes.io/metrics", "autoscaling.alpha.kubernetes.io/behavior")
_CLOSE: Final = 0.6


class Removed(NamedTuple):
    """`since`: the version of Kubernetes that serves it no more; `now`: apiVersion, or words."""

    since: str
    now: str


_NO_PSP: Final = Removed(
    "1.25", "Pod Security Admission: the label pod-security.kubernetes.io/enforce of a namespace"
)
_REMOVED: Final[Mapping[str, Mapping[str, Removed]]] = {
    "extensions/v1beta1": {
        **dict.fromkeys(("Deployment", "DaemonSet", "ReplicaSet"), Removed("1.16", "apps/v1")),
        "NetworkPolicy": Removed("1.16", "networking.k8s.io/v1"),
        "Ingress": Removed("1.22", "networking.k8s.io/v1"),
        "PodSecurityPolicy": _NO_PSP,
    },
    **dict.fromkeys(
        ("apps/v1beta1", "apps/v1beta2"),
        dict.fromkeys(
            ("Deployment", "DaemonSet", "ReplicaSet", "StatefulSet", "ControllerRevision"),
            Removed("1.16", "apps/v1"),
        ),
    ),
    "networking.k8s.io/v1beta1": dict.fromkeys(
        ("Ingress", "IngressClass"), Removed("1.22", "networking.k8s.io/v1")
    ),
    "policy/v1beta1": {"PodDisruptionBudget": Removed("1.25", "policy/v1"), "PodSecurityPolicy": _NO_PSP},
    "batch/v2alpha1": {"CronJob": Removed("1.21", "batch/v1")},
    "batch/v1beta1": {"CronJob": Removed("1.25", "batch/v1")},
    "autoscaling/v2beta1": {_HPA: Removed("1.25", "autoscaling/v2")},
    "autoscaling/v2beta2": {_HPA: Removed("1.26", "autoscaling/v2")},
    "rbac.authorization.k8s.io/v1beta1": dict.fromkeys(
        ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"),
        Removed("1.22", "rbac.authorization.k8s.io/v1"),
    ),
    "admissionregistration.k8s.io/v1beta1": dict.fromkeys(
        ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"),
        Removed("1.22", "admissionregistration.k8s.io/v1"),
    ),
    "apiextensions.k8s.io/v1beta1": {"CustomResourceDefinition": Removed("1.22", "apiextensions.k8s.io/v1")},
    "apiregistration.k8s.io/v1beta1": {"APIService": Removed("1.22", "apiregistration.k8s.io/v1")},
    "certificates.k8s.io/v1beta1": {"CertificateSigningRequest": Removed("1.22", "certificates.k8s.io/v1")},
    "coordination.k8s.io/v1beta1": {"Lease": Removed("1.22", "coordination.k8s.io/v1")},
    "scheduling.k8s.io/v1beta1": {"PriorityClass": Removed("1.22", "scheduling.k8s.io/v1")},
    "storage.k8s.io/v1beta1": {
        **dict.fromkeys(
            ("CSIDriver", "CSINode", "StorageClass", "VolumeAttachment"), Removed("1.22", "storage.k8s.io/v1")
        ),
        "CSIStorageCapacity": Removed("1.27", "storage.k8s.io/v1"),
    },
    "discovery.k8s.io/v1beta1": {"EndpointSlice": Removed("1.25", "discovery.k8s.io/v1")},
    "node.k8s.io/v1beta1": {"RuntimeClass": Removed("1.25", "node.k8s.io/v1")},
}


def mistake(api_version: str, kind: str) -> str | None:
    """What is wrong with a kind that is not served in this version, where it can be nobody's: removed, mistyped, or
    unknown to a group of Kubernetes or ours. None: it is served, or a custom resource's."""
    known = {one.kind: one for one in registry.ALL if one.api_version == api_version}
    if kind in known:
        return None
    if removed := _REMOVED.get(api_version, {}).get(kind):
        return f"no kind {kind} of {api_version} since Kubernetes {removed.since}: it is {removed.now}"
    group = group_of(api_version)
    served = sorted({one.api_version for one in registry.ALL if one.group == group})
    if not served and api_version not in _REMOVED:
        return None
    elsewhere = sorted(one.api_version for one in registry.ALL if one.kind == kind)
    if known:
        return _of_version(api_version, kind, list(known), elsewhere)
    if elsewhere:
        return f"no kind {kind} of {api_version}: it is {' or '.join(elsewhere)}"
    if close := _closest(kind, [one.kind for one in registry.ALL if one.group == group]):
        return f'no kind {kind} of {api_version}, did you mean "{close}" of {" or ".join(served)}?'
    return f"no kind {kind} of {api_version}" + (
        f": what is served is {' or '.join(served)}" if served else ""
    )


def _of_version(api_version: str, kind: str, known: list[str], elsewhere: list[str]) -> str:
    if close := _closest(kind, known):
        return f'no kind {kind} of {api_version}, did you mean "{close}"?'
    return f"no kind {kind} of {api_version}" + (f": it is {elsewhere[0]}" if elsewhere else "")


def _closest(kind: str, known: list[str]) -> str | None:
    lower = {one.lower(): one for one in known}
    close = get_close_matches(kind.lower(), lower, n=1, cutoff=_CLOSE)
    return lower[close[0]] if close else None


def as_served(obj: KubeObject) -> KubeObject:
    """The same object in the version that is served; itself if it is of none that is taken as another."""
    if obj["apiVersion"] != HPA_V1 or obj["kind"] != _HPA:
        return obj
    fields = cast(dict[str, Any], obj)
    spec = fields.get("spec")
    if not isinstance(spec, Mapping):
        return cast(KubeObject, {**fields, "apiVersion": "autoscaling/v2"})
    kept = {name: value for name, value in spec.items() if name != _TARGET}
    if spec.get(_TARGET) is not None:
        target = {"type": "Utilization", "averageUtilization": spec[_TARGET]}
        kept["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    return cast(KubeObject, {**fields, "apiVersion": "autoscaling/v2", "spec": kept})


def problems_of(obj: KubeObject) -> Iterator[Problem]:
    """What `as_served` cannot carry over of an object, in the words of its own version."""
    if obj["apiVersion"] != HPA_V1 or obj["kind"] != _HPA:
        return
    spec = cast(dict[str, Any], obj).get("spec")
    for name in ("metrics", "behavior"):
        if isinstance(spec, Mapping) and name in spec:
            yield Problem(f"spec.{name}", f"spec.{name}: not a field of {HPA_V1}, but of autoscaling/v2")
    target = spec.get(_TARGET) if isinstance(spec, Mapping) else None
    if target is not None and (type(target) is not int or target < 1):
        path = f"spec.{_TARGET}"
        yield Problem(path, f"{path}: Invalid value: {target!r}: must be greater than 0")
    for name in _ANNOTATIONS:
        if name in (obj["metadata"].get("annotations") or {}):
            yield Problem(
                "metadata.annotations", f"{name}: not read: state its metrics as fields of autoscaling/v2"
            )
