"""The shape of a pod: its specification, its template and its status (core/v1, API reference 1.35).

Required keys are those that are always there after defaulting; the rest may be absent. The constant `POD` and its rules
are in `pod.py`.
"""

from typing import Final, Literal, NotRequired, TypedDict

from gitops.kinds.core.containers import Container, EphemeralContainer, ResourceRequirements
from gitops.kinds.core.placement import Affinity, PodSchedulingGate, TopologySpreadConstraint
from gitops.kinds.core.pod_os import PodOS
from gitops.kinds.core.security import PodSecurityContext
from gitops.kinds.core.volumes import Volume
from gitops.kinds.objects import Condition, KubeObject, ObjectMeta

MIRROR: Final = (
    "kubernetes.io/config.mirror"  # An annotation: a node shows by this pod what it runs from a file.
)


class LocalObjectReference(TypedDict):
    name: NotRequired[str]


class Toleration(TypedDict):
    key: NotRequired[str]  # Absent or '': with Exists, every taint.
    operator: NotRequired[str]  # Equal (when absent) or Exists.
    value: NotRequired[str]
    effect: NotRequired[str]  # Absent: all effects.
    tolerationSeconds: NotRequired[int]


class HostAlias(TypedDict):
    ip: str
    hostnames: NotRequired[list[str]]


class PodDNSConfigOption(TypedDict):
    name: NotRequired[str]
    value: NotRequired[str]


class PodDNSConfig(TypedDict):
    nameservers: NotRequired[list[str]]
    searches: NotRequired[list[str]]
    options: NotRequired[list[PodDNSConfigOption]]


class PodReadinessGate(TypedDict):
    conditionType: str


class PodSpec(TypedDict):
    containers: list[Container]
    restartPolicy: Literal["Always", "OnFailure", "Never"]
    terminationGracePeriodSeconds: int
    dnsPolicy: Literal["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]
    schedulerName: str
    securityContext: PodSecurityContext
    os: NotRequired[PodOS]
    resources: NotRequired[ResourceRequirements]  # Of the pod as a whole.
    enableServiceLinks: bool
    initContainers: NotRequired[list[Container]]
    volumes: NotRequired[list[Volume]]
    nodeName: NotRequired[str]  # Written by the scheduler alone.
    nodeSelector: NotRequired[dict[str, str]]
    tolerations: NotRequired[list[Toleration]]
    hostNetwork: NotRequired[bool]
    hostPID: NotRequired[bool]
    hostIPC: NotRequired[bool]
    hostUsers: NotRequired[bool]
    shareProcessNamespace: NotRequired[bool]
    hostname: NotRequired[str]
    subdomain: NotRequired[str]
    setHostnameAsFQDN: NotRequired[bool]
    hostnameOverride: NotRequired[str]
    hostAliases: NotRequired[list[HostAlias]]
    dnsConfig: NotRequired[PodDNSConfig]
    imagePullSecrets: NotRequired[list[LocalObjectReference]]
    serviceAccountName: NotRequired[str]
    automountServiceAccountToken: NotRequired[bool]
    serviceAccount: NotRequired[str]  # The old name; mirrors serviceAccountName.
    affinity: NotRequired[Affinity]
    topologySpreadConstraints: NotRequired[list[TopologySpreadConstraint]]
    schedulingGates: NotRequired[list[PodSchedulingGate]]
    runtimeClassName: NotRequired[str]
    overhead: NotRequired[dict[str, str]]  # Admission takes it from the runtime class.
    priorityClassName: NotRequired[str]
    priority: NotRequired[int]  # Admission takes it from the class.
    preemptionPolicy: NotRequired[Literal["Never", "PreemptLowerPriority"]]
    activeDeadlineSeconds: NotRequired[int]
    readinessGates: NotRequired[list[PodReadinessGate]]
    ephemeralContainers: NotRequired[
        list[EphemeralContainer]
    ]  # Written by the subresource of this name alone.


class PodTemplateSpec(TypedDict):
    metadata: ObjectMeta
    spec: PodSpec


class ContainerStateWaiting(TypedDict):
    reason: NotRequired[str]
    message: NotRequired[str]


class ContainerStateRunning(TypedDict):
    startedAt: NotRequired[str]


class ContainerStateTerminated(TypedDict):
    exitCode: int
    signal: NotRequired[int]
    reason: NotRequired[str]
    message: NotRequired[str]
    startedAt: NotRequired[str]
    finishedAt: NotRequired[str]
    containerID: NotRequired[str]


class ContainerState(TypedDict):
    """At most one is there; none means waiting."""

    waiting: NotRequired[ContainerStateWaiting]
    running: NotRequired[ContainerStateRunning]
    terminated: NotRequired[ContainerStateTerminated]


class ContainerStatus(TypedDict):
    name: str
    image: str
    imageID: str
    ready: bool
    restartCount: int
    started: NotRequired[bool]
    state: NotRequired[ContainerState]
    lastState: NotRequired[ContainerState]
    containerID: NotRequired[str]
    stopSignal: NotRequired[str]  # Of a container that states one.
    resources: NotRequired[ResourceRequirements]  # What the container has.
    allocatedResources: NotRequired[dict[str, str]]  # What the node keeps for it.


class PodIP(TypedDict):
    ip: str


class HostIP(TypedDict):
    ip: str


PodPhase = Literal["Pending", "Running", "Succeeded", "Failed", "Unknown"]


class PodStatus(TypedDict):
    phase: NotRequired[PodPhase]
    conditions: NotRequired[list[Condition]]
    reason: NotRequired[str]
    message: NotRequired[str]
    hostIP: NotRequired[str]
    hostIPs: NotRequired[list[HostIP]]
    podIP: NotRequired[str]
    podIPs: NotRequired[list[PodIP]]
    startTime: NotRequired[str]
    qosClass: NotRequired[str]
    nominatedNodeName: NotRequired[str]
    initContainerStatuses: NotRequired[list[ContainerStatus]]
    containerStatuses: NotRequired[list[ContainerStatus]]
    ephemeralContainerStatuses: NotRequired[list[ContainerStatus]]
    observedGeneration: NotRequired[int]


class Pod(KubeObject):
    spec: PodSpec
    status: NotRequired[PodStatus]


def pod_status(pod: Pod) -> PodStatus:
    """Its status, empty if nothing was reported yet."""
    return pod.get("status") or PodStatus()


def pod_phase(pod: Pod) -> PodPhase:
    return pod_status(pod).get("phase") or "Pending"


def is_terminal(pod: Pod) -> bool:
    """Succeeded or Failed: it never runs again."""
    return pod_phase(pod) in ("Succeeded", "Failed")


def pod_condition(pod: Pod, name: str) -> Condition | None:
    return next((one for one in pod_status(pod).get("conditions") or () if one["type"] == name), None)


def is_ready(pod: Pod) -> bool:
    """Its condition Ready is True."""
    found = pod_condition(pod, "Ready")
    return found is not None and found["status"] == "True"


def is_sidecar(container: Container) -> bool:
    """An init container that stays beside the others."""
    return container.get("restartPolicy") == "Always"
