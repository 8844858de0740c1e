"""Health of objects: a table that reads as the rules."""

from typing import Any

import pytest

from gitops.kinds.apps import DEPLOYMENT
from gitops.kinds.health import health
from tests.unit.kinds.objects import a_deployment, a_pod, a_secret, a_service, an_ingress


def deployment(generation: int = 1, observed: int = 1, **status: object) -> Any:
    obj: Any = DEPLOYMENT.defaults(a_deployment(replicas=2))
    meta = {**obj["metadata"], "generation": generation}
    return {**obj, "metadata": meta, "status": {"observedGeneration": observed, **status}}


FULL = {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2}
DEADLINE = {
    "type": "Progressing",
    "status": "False",
    "reason": "ProgressDeadlineExceeded",
    "message": 'ReplicaSet "web-1" has timed out progressing.',
}
READY = {"conditions": [{"type": "Ready", "status": "True"}]}
CRASHING = {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}}
STATUS = {"name": "web", "image": "", "imageID": "", "ready": False, "restartCount": 1}
UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/1 nodes are available: 1 Insufficient cpu.",
}
JOB = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}}

CASES: dict[str, tuple[Any, tuple[str, str]]] = {
    "all replicas of the newest generation are available": (deployment(**FULL), ("Healthy", "")),
    "the controller has not seen the change": (
        deployment(generation=2, **FULL),
        ("Progressing", "the change was not seen by the controller yet"),
    ),
    "half of it is new": (
        deployment(**{**FULL, "updatedReplicas": 1}),
        ("Progressing", "1 of 2 replicas are updated"),
    ),
    "an old one is left": (
        deployment(**{**FULL, "replicas": 3}),
        ("Progressing", "1 old replicas are still there"),
    ),
    "one is not available": (
        deployment(**{**FULL, "availableReplicas": 1}),
        ("Progressing", "1 of 2 replicas are available"),
    ),
    "it took too long": (
        deployment(**FULL, conditions=[DEADLINE]),
        ("Degraded", 'ReplicaSet "web-1" has timed out progressing.'),
    ),
    "a ready pod": (a_pod(status={"phase": "Running", **READY}), ("Healthy", "")),
    "a pod that is done": (a_pod(status={"phase": "Succeeded"}), ("Healthy", "")),
    "a pod that failed": (a_pod(status={"phase": "Failed", "reason": "Evicted"}), ("Degraded", "Evicted")),
    "a pod that is pending": (a_pod(status={"phase": "Pending"}), ("Progressing", "not ready: Pending")),
    "a pod without a place": (
        a_pod(status={"phase": "Pending", "conditions": [UNSCHEDULABLE]}),
        ("Progressing", "0/1 nodes are available: 1 Insufficient cpu."),
    ),
    "a pod that crashes": (
        a_pod(status={"phase": "Running", "containerStatuses": [{**STATUS, **CRASHING}]}),
        ("Degraded", "web: CrashLoopBackOff: back-off 10s"),
    ),
    "a pod that goes": (
        a_pod(meta={"deletionTimestamp": "2026-01-01T00:00:00Z"}, status={"phase": "Running", **READY}),
        ("Progressing", "being deleted"),
    ),
    "a service": (a_service(type="ClusterIP"), ("Healthy", "")),
    "a balancer without an address": (
        a_service(type="LoadBalancer"),
        ("Progressing", "waits for the address of a load balancer"),
    ),
    "a secret": (a_secret(), ("Healthy", "")),
    "an ingress": (an_ingress(), ("Healthy", "")),
    "a job that runs": (JOB, ("Progressing", "not complete")),
    "a job that is done": (
        {**JOB, "status": {"conditions": [{"type": "Complete", "status": "True"}]}},
        ("Healthy", ""),
    ),
    "anything that is stalled": (
        {
            **an_ingress(),
            "status": {"conditions": [{"type": "Stalled", "status": "True", "message": "no way"}]},
        },
        ("Degraded", "no way"),
    ),
    "anything that is not ready": (
        {**an_ingress(), "status": {"conditions": [{"type": "Ready", "status": "False"}]}},
        ("Progressing", "not ready"),
    ),
}


@pytest.mark.parametrize(("obj", "expected"), CASES.values(), ids=CASES.keys())
def test_health(obj: Any, expected: tuple[str, str]) -> None:
    assert health(obj) == expected
