"""What a node takes beside what it runs: a table, and the pods that come and go."""

from typing import Any

import pytest

from agent.pods.admission import Admission, allocated
from agent.pods.rejection import Rejection, rejection
from gitops.kinds.core.amounts import requests_of
from gitops.kinds.core.node import Taint
from gitops.kinds.core.pod import Pod
from tests.agent_world import a_pod

ROOM = {"cpu": "1", "memory": "1Gi", "pods": "3"}
LABELS = {"disk": "ssd", "zone": "a", "kubernetes.io/os": "linux"}
TAINTS: list[Taint] = [
    {"key": "broken", "value": "disk", "effect": "NoExecute"},
    {"key": "dedicated", "effect": "NoSchedule"},
]


def asking(name: str = "new", cpu: str = "", memory: str = "", port: int = 0, **spec: Any) -> Pod:
    requests = {key: text for key, text in (("cpu", cpu), ("memory", memory)) if text}
    container: dict[str, Any] = {"name": "app", "image": "shop:1", "resources": {"requests": requests}}
    if port:
        container["ports"] = [{"containerPort": 80, "hostPort": port, "protocol": "TCP"}]
    return a_pod(name, containers=[container], **spec)


def affine(values: list[str]) -> dict[str, Any]:
    term = {"matchExpressions": [{"key": "zone", "operator": "In", "values": values}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    return {"nodeAffinity": required}


CPU = "Node didn't have enough resource: cpu, requested: 600, used: 500, capacity: 1000"
MEMORY = "Node didn't have enough resource: memory, requested: 2147483648, used: 0, capacity: 1073741824"
PORTS = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"
AFFINITY = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
ROWS: dict[str, tuple[Pod, Rejection | None]] = {
    "it fits": (asking(cpu="500m"), None),
    "no cpu": (asking(cpu="600m"), Rejection("OutOfcpu", CPU)),
    "no memory": (asking(memory="2Gi"), Rejection("OutOfmemory", MEMORY)),
    "overhead counts": (asking(cpu="500m", overhead={"cpu": "100m"}), Rejection("OutOfcpu", CPU)),
    "a port in use": (asking(port=8080), Rejection("NodePorts", PORTS)),
    "another port": (asking(port=8081), None),
    "a selector that holds": (asking(nodeSelector={"disk": "ssd"}), None),
    "a selector that does not": (
        asking(nodeSelector={"disk": "hdd"}),
        Rejection("NodeAffinity", AFFINITY),
    ),
    "another system's label": (
        asking(nodeSelector={"kubernetes.io/os": "windows"}),
        Rejection(
            "PodOSSelectorNodeLabelDoesNotMatch",
            "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
        ),
    ),
    "another system": (
        asking(os={"name": "windows"}),
        Rejection("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS"),
    ),
    "this system": (asking(os={"name": "linux"}, nodeSelector={"kubernetes.io/os": "linux"}), None),
    "an affinity that holds": (asking(affinity=affine(["a", "b"])), None),
    "an affinity that does not": (asking(affinity=affine(["b"])), Rejection("NodeAffinity", AFFINITY)),
}


@pytest.mark.parametrize(("pod", "refused"), ROWS.values(), ids=ROWS.keys())
def test_a_node_that_runs_one_pod(pod: Pod, refused: Rejection | None) -> None:
    node = Admission("n1", ROOM, lambda: LABELS)
    assert node.admit(asking("first", cpu="500m", port=8080)) is None

    assert node.admit(pod) == refused


@pytest.mark.parametrize(
    ("tolerations", "taken"),
    [
        ([], False),
        ([{"key": "broken", "operator": "Exists", "effect": "NoSchedule"}], False),
        ([{"key": "broken", "value": "disk", "effect": "NoExecute"}], True),
        ([{"key": "broken", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}], True),
        ([{"operator": "Exists"}], True),
    ],
)
def test_a_node_that_evicts_takes_only_what_may_stay(tolerations: list[Any], taken: bool) -> None:
    node = Admission("n1", ROOM, lambda: LABELS, taints=lambda: TAINTS)

    refused = node.admit(asking(tolerations=tolerations))

    why = "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate"
    assert refused == (None if taken else Rejection("TaintToleration", why))


def test_pods_are_counted_and_those_that_ended_are_not() -> None:
    node = Admission("n1", ROOM)
    for name in ("a", "b", "c"):
        assert node.admit(asking(name)) is None
    why = "Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3"
    assert node.admit(asking("d")) == Rejection("OutOfpods", why)

    node.note({**asking("a"), "status": {"phase": "Succeeded"}})
    assert node.admit(asking("d")) is None
    node.forget("uid-b")
    assert node.admit(asking("e")) is None


def test_a_pod_that_an_earlier_agent_took_counts_and_one_that_was_refused_does_not() -> None:
    node = Admission("n1", ROOM)
    node.note({**asking("old", cpu="500m"), "status": {"startTime": "2026-01-01T00:00:00Z"}})
    node.note(asking("new", cpu="800m"))

    assert node.others("uid-other") == {"cpu": 500}


def test_a_resize_that_waits_takes_what_it_was_given() -> None:
    given = {"name": "app", "allocatedResources": {"cpu": "100m"}}
    pod: Any = {**asking(cpu="900m"), "status": {"containerStatuses": [given]}}

    assert requests_of(allocated(pod)) == {"cpu": 100}


@pytest.mark.parametrize(
    ("name", "allowed", "taken"),
    [
        ("kernel.msgmax", ("kernel.msgmax",), True),
        ("kernel.msgmax", ("kernel.msg*",), True),
        ("kernel/msgmax", ("kernel.msg*",), True),
        ("kernel.shmmax", ("kernel.msg*",), False),
        ("net.core.somaxconn", ("net.core.*",), True),
        ("net.core.somaxconn", (), False),
    ],
)
def test_sysctls_that_the_operator_allows(name: str, allowed: tuple[str, ...], taken: bool) -> None:
    pod = asking(securityContext={"sysctls": [{"name": name, "value": "1"}]})

    assert (rejection(pod, allowed) is None) is taken


def test_an_allowed_sysctl_still_needs_a_namespace_of_its_own() -> None:
    pod = asking(hostIPC=True, securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]})

    refused = rejection(pod, ("kernel.msg*",))
    assert refused is not None
    assert "not allowed with host ipc enabled" in refused.message
