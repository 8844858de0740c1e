"""What a pod is where its manifest says nothing. Source: Kubernetes, pkg/apis/core/v1/defaults.go.

`default_template` is for the templates of workloads: what Kubernetes fills in only when the pod itself is made
(enableServiceLinks, requests from limits, host ports) is left out there, as in Kubernetes.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final, Literal, cast

from gitops.kinds import quantity
from gitops.kinds.core.containers import (
    Container,
    ContainerResizePolicy,
    EnvVar,
    HTTPGetAction,
    LifecycleHandler,
    Probe,
    ResourceRequirements,
)
from gitops.kinds.core.pod_resources import default_pod_resources
from gitops.kinds.core.pod_types import Pod, PodSpec, PodTemplateSpec, is_sidecar
from gitops.kinds.core.volumes import Volume
from gitops.kinds.filling import (
    canonical_quantities,
    canonical_quantity,
    change,
    change_each,
    fill,
    fill_zero,
)
from gitops.kinds.lately import Lately

FILE_MODE: Final = 0o644
_RESIZABLE: Final[tuple[Literal["cpu", "memory"], ...]] = ("cpu", "memory")
_CONTAINER_LISTS: Final = ("initContainers", "containers", "ephemeralContainers")


def default_pod(pod: Pod) -> Pod:
    pod = change(fill(pod, spec={"containers": []}, status={}), "spec", _completed)
    return change(pod, "status", lambda status: fill(status, phase="Pending", qosClass=qos_class(pod)))


def default_template(template: PodTemplateSpec) -> PodTemplateSpec:
    return change(fill(template, metadata={}, spec={"containers": []}), "spec", default_spec)


def default_spec(spec: PodSpec) -> PodSpec:
    """What pods and templates have in common."""
    spec = fill(
        spec,
        restartPolicy="Always",
        dnsPolicy="ClusterFirst",
        schedulerName="default-scheduler",
        terminationGracePeriodSeconds=30,
        securityContext={},
    )
    if account := spec.get("serviceAccountName") or spec.get("serviceAccount"):
        spec = fill_zero(spec, serviceAccountName=account, serviceAccount=account)
    spec = change_each(spec, "volumes", _default_volume)
    for field in _CONTAINER_LISTS:
        spec = change_each(spec, field, _default_container)
    return spec


def _completed(spec: PodSpec) -> PodSpec:
    missing = _missing(cast(Mapping[str, Any], spec))
    return cast(PodSpec, {**spec, **missing}) if missing else spec


def _added(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields that defaulting sets or changes."""
    full = cast(Mapping[str, Any], _default_pod_spec(cast(PodSpec, spec)))
    return {name: value for name, value in full.items() if value is not spec.get(name)}


_missing: Final = Lately(
    _added, but="nodeName"
)  # Which binding sets: nothing else of a pod's specification differs.


def _default_pod_spec(spec: PodSpec) -> PodSpec:
    spec = fill(default_spec(spec), enableServiceLinks=True)
    for field in _CONTAINER_LISTS[:2]:
        spec = change_each(
            spec,
            field,
            partial(_default_of_a_pods_container, field=field, host=bool(spec.get("hostNetwork"))),
        )
    return default_pod_resources(spec)


def _default_of_a_pods_container(container: Container, field: str, host: bool) -> Container:
    container = change(container, "resources", _requests_from_limits)
    if field == "containers" or is_sidecar(container):
        container = _with_resize_policy(container)
    if host:
        container = change_each(
            container, "ports", lambda port: fill_zero(port, hostPort=port["containerPort"])
        )
    return container


def _with_resize_policy(container: Container) -> Container:
    """What is stated of cpu and memory changes in place where nothing else is said."""
    stated = container.get("resizePolicy") or []
    resources = container["resources"]
    used = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    known = {one["resourceName"] for one in stated}
    missing: list[ContainerResizePolicy] = [
        {"resourceName": name, "restartPolicy": "NotRequired"}
        for name in _RESIZABLE
        if name in used and name not in known
    ]
    return {**container, "resizePolicy": [*stated, *missing]} if missing else container


def _requests_from_limits(resources: ResourceRequirements) -> ResourceRequirements:
    limits = resources.get("limits")
    return (
        change(fill(resources, requests={}), "requests", lambda own: fill(own, **limits))
        if limits
        else resources
    )


def _default_container(container: Container) -> Container:
    container = fill(
        container,
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        imagePullPolicy="Always" if _is_latest(container.get("image") or "") else "IfNotPresent",
        resources={},
    )
    container = change(container, "resources", _canonical_resources)
    container = change_each(container, "ports", lambda port: fill_zero(port, protocol="TCP"))
    container = change_each(container, "env", _default_env)
    for field in ("livenessProbe", "readinessProbe", "startupProbe"):
        container = change(container, field, _default_probe)
    return change(container, "lifecycle", _default_lifecycle)


def _is_latest(image: str) -> bool:
    """Whether an image has the tag `latest`, or no tag and no digest."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return tag == "latest" or (not tag and not digest)


def _canonical_resources(resources: ResourceRequirements) -> ResourceRequirements:
    resources = change(resources, "limits", canonical_quantities)
    return change(resources, "requests", canonical_quantities)


def _default_field_ref(item: Any) -> Any:
    """Of an environment variable's source or of a downward file."""
    return change(item, "fieldRef", lambda ref: fill_zero(ref, apiVersion="v1"))


def _default_env(variable: EnvVar) -> EnvVar:
    return change(variable, "valueFrom", _default_field_ref)


def _default_probe(probe: Probe) -> Probe:
    probe = fill_zero(probe, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
    return change(change(probe, "httpGet", _default_http), "grpc", lambda grpc: fill(grpc, service=""))


def _default_http(action: HTTPGetAction) -> HTTPGetAction:
    return fill_zero(action, path="/", scheme="HTTP")


def _default_lifecycle(lifecycle: Any) -> Any:
    for hook in ("postStart", "preStop"):
        lifecycle = change(lifecycle, hook, _default_hook)
    return lifecycle


def _default_hook(hook: LifecycleHandler) -> LifecycleHandler:
    return change(hook, "httpGet", _default_http)


def _default_volume(volume: Volume) -> Volume:
    if not volume.keys() - {"name"}:
        return fill(volume, emptyDir={})
    volume = change(volume, "emptyDir", lambda source: change(source, "sizeLimit", canonical_quantity))
    volume = change(volume, "hostPath", lambda source: fill(source, type=""))
    for field in ("configMap", "secret", "downwardAPI", "projected"):
        volume = change(volume, field, lambda source: fill(source, defaultMode=FILE_MODE))
    volume = change(volume, "downwardAPI", lambda source: change_each(source, "items", _default_field_ref))
    return change(volume, "projected", lambda source: change_each(source, "sources", _default_projection))


def _default_projection(source: Any) -> Any:
    source = change(source, "downwardAPI", lambda one: change_each(one, "items", _default_field_ref))
    return change(source, "serviceAccountToken", lambda one: fill(one, expirationSeconds=3600))


def qos_class(pod: Pod) -> str:
    """Guaranteed: every container has cpu and memory limits equal to its requests; BestEffort: none has any.

    Where the pod as a whole has resources, they alone count.
    """
    containers = [*pod["spec"].get("containers", ()), *(pod["spec"].get("initContainers") or ())]
    resources = [container.get("resources") or ResourceRequirements() for container in containers]
    if whole := pod["spec"].get("resources"):
        resources = [whole]
    stated = [one for one in resources if _amounts(one.get("limits")) or _amounts(one.get("requests"))]
    if not stated:
        return "BestEffort"
    for one in resources:
        limits = _amounts(one.get("limits"))
        if limits.keys() != {"cpu", "memory"} or limits != {**limits, **_amounts(one.get("requests"))}:
            return "Burstable"
    return "Guaranteed"


def _amounts(resources: dict[str, str] | None) -> dict[str, str]:
    """CPU and memory that are not zero, in canonical form."""
    found = {name: canonical_quantity((resources or {}).get(name) or "0") for name in ("cpu", "memory")}
    return {name: amount for name, amount in found.items() if _is_positive(amount)}


def _is_positive(amount: str) -> bool:
    try:
        return quantity.parse(amount) > 0
    except ValueError:
        return False
