"""Node (core/v1): a host that runs pods. Source: Kubernetes API reference 1.35."""

from typing import Final, Literal, NotRequired, TypedDict

from gitops.kinds.kind import Kind
from gitops.kinds.objects import Condition, KubeObject


class Taint(TypedDict):
    key: str
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]
    value: NotRequired[str]
    timeAdded: NotRequired[str]


class NodeSpec(TypedDict):
    podCIDR: NotRequired[str]
    podCIDRs: NotRequired[list[str]]
    providerID: NotRequired[str]
    taints: NotRequired[list[Taint]]
    unschedulable: NotRequired[bool]


class NodeAddress(TypedDict):
    type: str  # InternalIP, Hostname, …
    address: str


class NodeSystemInfo(TypedDict):
    machineID: str
    systemUUID: str
    bootID: str
    kernelVersion: str
    osImage: str
    containerRuntimeVersion: str
    kubeletVersion: str
    kubeProxyVersion: str
    operatingSystem: str
    architecture: str


class DaemonEndpoint(TypedDict):
    Port: int


class NodeDaemonEndpoints(TypedDict):
    kubeletEndpoint: NotRequired[DaemonEndpoint]


class ContainerImage(TypedDict):
    names: NotRequired[list[str]]
    sizeBytes: NotRequired[int]


class NodeStatus(TypedDict):
    capacity: NotRequired[dict[str, str]]
    allocatable: NotRequired[dict[str, str]]
    conditions: NotRequired[list[Condition]]
    addresses: NotRequired[list[NodeAddress]]
    nodeInfo: NotRequired[NodeSystemInfo]
    daemonEndpoints: NotRequired[NodeDaemonEndpoints]
    images: NotRequired[list[ContainerImage]]


class Node(KubeObject):
    spec: NodeSpec
    status: NotRequired[NodeStatus]


def node_condition(node: Node, name: str) -> Condition | None:
    status = node.get("status") or NodeStatus()
    return next((one for one in status.get("conditions") or () if one["type"] == name), None)


NODE: Final[Kind[Node]] = Kind(
    "v1",
    "Node",
    "nodes",
    namespaced=False,
    short=("no",),
    subresources=("status",),
    shape=Node,
    field_selectors=("spec.unschedulable",),
)
