"""Objects with everything that does not matter left out."""

from typing import Any

Json = Any  # A JSON object.


def a_node(name: str) -> Json:
    conditions = [
        {
            "type": "Ready",
            "status": "True",
            "reason": "AgentReady",
            "message": "the agent is ready",
            "lastHeartbeatTime": "2026-01-01T00:00:00Z",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ]
    sizes = {"cpu": "8", "memory": "32Gi", "pods": "110"}
    status = {"conditions": conditions, "capacity": sizes, "allocatable": sizes}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {}, "status": status}


def a_pod(name: str, *, node: str = "", ready: bool = False, labels: dict[str, str] | None = None) -> Json:
    """One container `main`, running where a node is given."""
    spec: Json = {
        "containers": [{"name": "main", "image": "shop/web:1"}],
        **({"nodeName": node} if node else {}),
    }
    pod: Json = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": labels or {}},
        "spec": spec,
    }
    if node:
        pod["status"] = pod_status(ready=ready)
    return pod


def pod_status(*, ready: bool) -> Json:
    state = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    container = {
        "name": "main",
        "image": "shop/web:1",
        "imageID": "",
        "restartCount": 0,
        "ready": ready,
        "state": state,
    }
    return {
        "phase": "Running",
        "podIP": "10.77.0.5",
        "podIPs": [{"ip": "10.77.0.5"}],
        "conditions": [{"type": kind, "status": str(ready)} for kind in ("Ready", "ContainersReady")],
        "containerStatuses": [container],
    }


def a_deployment(name: str, *, replicas: int = 1, ready: int = 0) -> Json:
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "main", "image": "shop/web:1"}]},
    }
    counts = {
        "replicas": replicas,
        "updatedReplicas": replicas,
        "readyReplicas": ready,
        "availableReplicas": ready,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
        "status": {"observedGeneration": 1, **counts},
    }


def a_service(name: str, cluster_ip: str = "10.78.0.9") -> Json:
    spec = {"selector": {"app": name}, "ports": [{"port": 80}], "clusterIP": cluster_ip}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


def a_secret(name: str, value_base64: str) -> Json:
    meta = {"name": name, "namespace": "default"}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": meta,
        "type": "Opaque",
        "data": {"key": value_base64},
    }


def but(obj: Json, **changes: Json) -> Json:
    """The same object with some of its fields replaced."""
    return {**obj, **changes}
