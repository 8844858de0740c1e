"""Pods as a Deployment makes them, for benchmarks: they share their template, and most of their text."""

import uuid
from typing import Any, Final, cast

from gitops.kinds.core.pod import Pod

NAMESPACE: Final = "bench"
APPS: Final = 100  # ReplicaSets, which share the pods.
_CONTAINERS: Final = [
    {
        "name": name,
        "image": f"registry.example.com/shop/{name}:1.27.3",
        "command": [f"/usr/local/bin/{name}", "--config", "/etc/shop/config.yaml", "--verbose"],
        "env": [{"name": f"SHOP_SETTING_{n}", "value": f"a value of setting {n}"} for n in range(9)],
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "resources": {"limits": {"cpu": "500m", "memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/shop", "readOnly": True}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "timeoutSeconds": 1,
                           "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
    }
    for name in ("web", "sidecar")
]  # fmt: skip
_SPEC: Final[dict[str, Any]] = {
    "containers": _CONTAINERS,
    "volumes": [{"name": "config", "configMap": {"name": "shop", "defaultMode": 420}}],
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "serviceAccountName": "default",
    "schedulerName": "default-scheduler",
    "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 1000},
    "tolerations": [
        {
            "key": f"node.kubernetes.io/{taint}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": 300,
        }
        for taint in ("not-ready", "unreachable")
    ],
}
_LABELS: Final = [{"app": f"shop-{n}", "tier": "web", "pod-template-hash": "7d9c5b7f4b"} for n in range(APPS)]


def a_pod(number: int, *, node: str = "") -> Pod:
    """The pod of a number, of one of 100 ReplicaSets; without a node it has just been created."""
    app = number % APPS
    owner = f"shop-{app}-7d9c5b7f4b"
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": f"uid-of-{owner}",
                 "controller": True, "blockOwnerDeletion": True}  # fmt: skip
    meta = {
        "name": f"{owner}-{number:06}",
        "generateName": f"{owner}-",
        "namespace": NAMESPACE,
        "uid": str(uuid.UUID(int=number << 64 | 0x4000_8000_0000_0000_0000)),
        "labels": _LABELS[app],
        "creationTimestamp": _time(number),
        "ownerReferences": [reference],
    }
    spec = {**_SPEC, "nodeName": node} if node else _SPEC
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": {"phase": "Pending"}}
    return cast(Pod, made)


def life_of(number: int) -> tuple[Pod, ...]:
    """What is written of a pod until it is Ready: created, bound, started, Ready."""
    created, bound = a_pod(number), a_pod(number, node=f"node-{number % 100}")
    return created, bound, with_status(bound, number, ready=False), with_status(bound, number, ready=True)


def with_status(pod: Pod, number: int, *, ready: bool) -> Pod:
    """As an agent reports it."""
    word = "True" if ready else "False"
    conditions = [
        {"type": name, "status": status, "lastTransitionTime": _time(number)}
        for name, status in (
            ("PodScheduled", "True"),
            ("Initialized", "True"),
            ("ContainersReady", word),
            ("Ready", word),
        )
    ]
    containers = [
        {"name": one["name"], "image": one["image"], "imageID": f"sha256:{'5e' * 32}", "ready": ready, "started": True,
         "restartCount": 0, "containerID": f"docker://{uuid.UUID(int=number * 7919).hex * 2}",
         "state": {"running": {"startedAt": _time(number)}}}
        for one in _CONTAINERS
    ]  # fmt: skip
    address = f"10.77.{number // 250 % 250}.{number % 250 + 2}"
    status = {"phase": "Running", "conditions": conditions, "containerStatuses": containers, "podIP": address,
              "podIPs": [{"ip": address}], "hostIP": "192.0.2.10", "startTime": _time(number),
              "qosClass": "Burstable"}  # fmt: skip
    return cast(Pod, {**pod, "status": status})


def _time(number: int) -> str:
    return f"2026-01-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z"
