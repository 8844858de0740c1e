"""Node (core/v1): a host that runs pods. Source: Kubernetes API reference 1.35."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final, Literal, NotRequired, TypedDict

from gitops.kinds import names, wording
from gitops.kinds.filling import canonical_quantities, change, fill
from gitops.kinds.kind import Kind, Problem
from gitops.kinds.objects import Condition, KubeObject, labels_of
from gitops.kinds.tables import NONE, UNKNOWN, Row, age_of, columns, name_of


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


def default_node(node: Node) -> Node:
    return change(fill(node, spec={}, status={}), "status", _default_status)


def _default_status(status: NodeStatus) -> NodeStatus:
    status = change(change(status, "capacity", canonical_quantities), "allocatable", canonical_quantities)
    return fill(status, allocatable=capacity) if (capacity := status.get("capacity")) else status


def check_node(node: Node) -> Iterator[Problem]:
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(node["spec"].get("taints") or ()):
        field = f"spec.taints[{index}]"
        if wrong := names.qualified_name(taint["key"]):
            yield wording.invalid(f"{field}.key", taint["key"], wrong)
        if wrong := names.label_value(taint.get("value") or ""):
            yield wording.invalid(f"{field}.value", taint.get("value"), wrong)
        yield from wording.one_of(
            f"{field}.effect", taint["effect"], ("NoExecute", "NoSchedule", "PreferNoSchedule")
        )
        if (taint["key"], taint["effect"]) in seen:
            yield wording.duplicate(field, taint)
        seen.add((taint["key"], taint["effect"]))


def check_node_update(old: Node, new: Node) -> Iterator[Problem]:
    """The range of its pods stays: their addresses come from it."""
    if (before := old["spec"].get("podCIDR")) and before != new["spec"].get("podCIDR"):
        why = 'node updates may not change podCIDR except from "" to valid'
        yield wording.forbidden("spec.podCIDRs", why)


ROLE_PREFIX: Final = "node-role.kubernetes.io/"


def _cells(node: Node, now: datetime) -> Row:
    ready = node_condition(node, "Ready")
    state = "Unknown" if ready is None else "Ready" if ready["status"] == "True" else "NotReady"
    if node["spec"].get("unschedulable"):
        state += ",SchedulingDisabled"
    status = node.get("status") or NodeStatus()
    addresses = {one["type"]: one["address"] for one in reversed(status.get("addresses") or [])}
    info: Mapping[str, object] = status.get("nodeInfo") or {}
    return (
        name_of(node),
        state,
        _roles(node),
        age_of(node, now),
        _shown(info, "kubeletVersion", ""),
        addresses.get("InternalIP", NONE),
        addresses.get("ExternalIP", NONE),
        _shown(info, "osImage"),
        _shown(info, "kernelVersion"),
        _shown(info, "containerRuntimeVersion"),
    )


def _shown(info: Mapping[str, object], field: str, absent: str = UNKNOWN) -> str:
    return str(info.get(field) or absent)


def _roles(node: Node) -> str:
    labels = labels_of(node)
    roles = {key.removeprefix(ROLE_PREFIX) for key in labels if key.startswith(ROLE_PREFIX)}
    roles |= {labels["kubernetes.io/role"]} if labels.get("kubernetes.io/role") else set()
    return ",".join(sorted(role for role in roles if role)) or NONE


NODE: Final[Kind[Node]] = Kind(
    "v1",
    "Node",
    "nodes",
    namespaced=False,
    short=("no",),
    subresources=("status",),
    shape=Node,
    defaults=default_node,
    check=check_node,
    check_update=check_node_update,
    columns=columns(
        *("Name", "Status", "Roles", "Age", "Version"),
        wide=("Internal-IP", "External-IP", "OS-Image", "Kernel-Version", "Container-Runtime"),
    ),
    cells=_cells,
    field_selectors=("spec.unschedulable",),
)
