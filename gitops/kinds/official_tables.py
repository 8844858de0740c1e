"""Rows of `kubectl get` for the official kinds that Gitward only stores. Source: Kubernetes, printers.go.

These objects have no TypedDict: the schema has checked their types, and they are read as the JSON that they are.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from gitops.kinds.kind import Column
from gitops.kinds.objects import is_going
from gitops.kinds.selectors import to_text
from gitops.kinds.tables import (
    NONE,
    UNKNOWN,
    Row,
    age,
    age_of,
    columns,
    containers_text,
    labels_text,
    listed,
    name_of,
)

Json = Any
DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"
_ACCESS: Final = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}
_WORKLOAD: Final = ("Containers", "Images", "Selector")


class Table(NamedTuple):
    columns: tuple[Column, ...]
    cells: Callable[[Json, datetime], Row]


def _at(obj: Json, *path: str, default: Json = "") -> Json:
    for step in path:
        obj = obj.get(step) if isinstance(obj, Mapping) else None
    return default if obj is None else obj


def _number(obj: Json, *path: str) -> int:
    return int(_at(obj, *path, default=0))


def _containers(template: Json) -> tuple[str, str]:
    return containers_text(_at(template, "spec", "containers", default=[]))


def _stateful_set(obj: Json, now: datetime) -> Row:
    ready = f"{_number(obj, 'status', 'readyReplicas')}/{_at(obj, 'spec', 'replicas', default=1)}"
    return name_of(obj), ready, age_of(obj, now), *_containers(_at(obj, "spec", "template"))


def _daemon_set(obj: Json, now: datetime) -> Row:
    status = _at(obj, "status", default={})
    return (
        name_of(obj),
        _number(status, "desiredNumberScheduled"),
        _number(status, "currentNumberScheduled"),
        _number(status, "numberReady"),
        _number(status, "updatedNumberScheduled"),
        _number(status, "numberAvailable"),
        labels_text(_at(obj, "spec", "template", "spec", "nodeSelector", default={})),
        age_of(obj, now),
        *_containers(_at(obj, "spec", "template")),
        to_text(_at(obj, "spec", "selector", default=None)),
    )


def _replication_controller(obj: Json, now: datetime) -> Row:
    return (
        name_of(obj),
        _at(obj, "spec", "replicas", default=1),
        _number(obj, "status", "replicas"),
        _number(obj, "status", "readyReplicas"),
        age_of(obj, now),
        *_containers(_at(obj, "spec", "template")),
        labels_text(_at(obj, "spec", "selector", default={})),
    )


def _has_condition(obj: Json, name: str) -> bool:
    conditions = _at(obj, "status", "conditions", default=[])
    return any(one["type"] == name and one["status"] == "True" for one in conditions)


def _job_status(obj: Json) -> str:
    for name, shown in (("Complete", "Complete"), ("Failed", "Failed")):
        if _has_condition(obj, name):
            return shown
    if is_going(obj):
        return "Terminating"
    return next((name for name in ("Suspended", "FailureTarget") if _has_condition(obj, name)), "Running")


def _job(obj: Json, now: datetime) -> Row:
    wanted, parallelism = _at(obj, "spec", "completions", default=None), _number(obj, "spec", "parallelism")
    succeeded = _number(obj, "status", "succeeded")
    if wanted is not None:
        completions = f"{succeeded}/{wanted}"
    else:
        completions = f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"
    start, end = _at(obj, "status", "startTime"), _at(obj, "status", "completionTime")
    took = ""
    if start:
        took = age(start, datetime.fromisoformat(end) if end else now)
    return (
        name_of(obj),
        _job_status(obj),
        completions,
        took,
        age_of(obj, now),
        *_containers(_at(obj, "spec", "template")),
        to_text(_at(obj, "spec", "selector", default=None)),
    )


def _cron_job(obj: Json, now: datetime) -> Row:
    last = _at(obj, "status", "lastScheduleTime", default=None)
    template = _at(obj, "spec", "jobTemplate", "spec", default={})
    return (
        name_of(obj),
        _at(obj, "spec", "schedule"),
        _at(obj, "spec", "timeZone") or NONE,
        str(_at(obj, "spec", "suspend", default=False)),
        len(_at(obj, "status", "active", default=[])),
        age(last, now) if last else NONE,
        age_of(obj, now),
        *_containers(_at(template, "template")),
        to_text(_at(template, "selector", default=None)),
    )


def _volume(obj: Json, now: datetime) -> Row:
    claim = _at(obj, "spec", "claimRef", default={})
    return (
        name_of(obj),
        _at(obj, "spec", "capacity", "storage"),
        _access(_at(obj, "spec", "accessModes", default=[])),
        _at(obj, "spec", "persistentVolumeReclaimPolicy"),
        "Terminating" if is_going(obj) else _at(obj, "status", "phase"),
        f"{_at(claim, 'namespace')}/{_at(claim, 'name')}" if claim else "",
        _at(obj, "spec", "storageClassName"),
        _at(obj, "spec", "volumeAttributesClassName", default="<unset>"),
        _at(obj, "status", "reason"),
        age_of(obj, now),
        _at(obj, "spec", "volumeMode", default="<unset>"),
    )


def _volume_claim(obj: Json, now: datetime) -> Row:
    bound = bool(_at(obj, "spec", "volumeName"))
    return (
        name_of(obj),
        "Terminating" if is_going(obj) else _at(obj, "status", "phase"),
        _at(obj, "spec", "volumeName"),
        _at(obj, "status", "capacity", "storage") if bound else "",
        _access(_at(obj, "status", "accessModes", default=[])) if bound else "",
        _at(obj, "spec", "storageClassName"),
        _at(obj, "spec", "volumeAttributesClassName", default="<unset>"),
        age_of(obj, now),
        _at(obj, "spec", "volumeMode", default="<unset>"),
    )


def _access(modes: list[str]) -> str:
    return ",".join(short for mode, short in _ACCESS.items() if mode in modes)


def _storage_class(obj: Json, now: datetime) -> Row:
    default = _at(obj, "metadata", "annotations", DEFAULT_CLASS) == "true"
    return (
        name_of(obj) + (" (default)" if default else ""),
        _at(obj, "provisioner"),
        _at(obj, "reclaimPolicy", default="Delete"),
        _at(obj, "volumeBindingMode", default="Immediate"),
        str(_at(obj, "allowVolumeExpansion", default=False)).lower(),
        age_of(obj, now),
    )


def _endpoints(obj: Json, now: datetime) -> Row:
    pairs = [
        f"{address['ip']}:{port['port']}"
        for subset in _at(obj, "subsets", default=[])
        for port in subset.get("ports") or ()
        for address in subset.get("addresses") or ()
    ]
    return name_of(obj), listed(pairs, NONE), age_of(obj, now)


def _disruption_budget(obj: Json, now: datetime) -> Row:
    return (
        name_of(obj),
        str(_at(obj, "spec", "minAvailable", default="N/A")),
        str(_at(obj, "spec", "maxUnavailable", default="N/A")),
        _number(obj, "status", "disruptionsAllowed"),
        age_of(obj, now),
    )


def _network_policy(obj: Json, now: datetime) -> Row:
    return name_of(obj), to_text(_at(obj, "spec", "podSelector", default={})), age_of(obj, now)


def _autoscaler(obj: Json, now: datetime) -> Row:
    target = _at(obj, "spec", "scaleTargetRef", default={})
    return (
        name_of(obj),
        f"{_at(target, 'kind')}/{_at(target, 'name')}",
        UNKNOWN,
        str(_at(obj, "spec", "minReplicas", default="<unset>")),
        _number(obj, "spec", "maxReplicas"),
        _number(obj, "status", "currentReplicas"),
        age_of(obj, now),
    )


def _role_binding(obj: Json, now: datetime) -> Row:
    subjects = _at(obj, "subjects", default=[])

    def named(kind: str) -> str:
        found = [one for one in subjects if one["kind"] == kind]
        return ", ".join(
            f"{one['namespace']}/{one['name']}" if "namespace" in one else one["name"] for one in found
        )

    role = f"{_at(obj, 'roleRef', 'kind')}/{_at(obj, 'roleRef', 'name')}"
    return name_of(obj), role, age_of(obj, now), named("User"), named("Group"), named("ServiceAccount")


def _priority_class(obj: Json, now: datetime) -> Row:
    return (
        name_of(obj),
        _number(obj, "value"),
        str(_at(obj, "globalDefault", default=False)).lower(),
        age_of(obj, now),
        _at(obj, "preemptionPolicy", default="PreemptLowerPriority"),
    )


def _webhooks(obj: Json, now: datetime) -> Row:
    return name_of(obj), len(_at(obj, "webhooks", default=[])), age_of(obj, now)


def _controller_revision(obj: Json, now: datetime) -> Row:
    owners = _at(obj, "metadata", "ownerReferences", default=[])
    owner = next(
        (f"{one['kind'].lower()}.apps/{one['name']}" for one in owners if one.get("controller")), NONE
    )
    return name_of(obj), owner, _number(obj, "revision"), age_of(obj, now)


def _quota(obj: Json, now: datetime) -> Row:
    hard, used = _at(obj, "status", "hard", default={}), _at(obj, "status", "used", default={})
    texts = {"requests": "", "limits": ""}
    for name in sorted(hard):
        side = "limits" if name.startswith("limits.") else "requests"
        texts[side] += f"{', ' if texts[side] else ''}{name}: {used.get(name, '0')}/{hard[name]}"
    return name_of(obj), texts["requests"], texts["limits"], age_of(obj, now)


_WEBHOOKS: Final = Table(columns("Name", "Webhooks", "Age", numbers=["Webhooks"]), _webhooks)
_BINDINGS: Final = Table(
    columns("Name", "Role", "Age", wide=("Users", "Groups", "ServiceAccounts")), _role_binding
)
TABLES: Final[Mapping[str, Table]] = {
    "StatefulSet": Table(columns("Name", "Ready", "Age", wide=_WORKLOAD[:2]), _stateful_set),
    "DaemonSet": Table(
        columns(
            *("Name", "Desired", "Current", "Ready", "Up-to-date", "Available", "Node Selector", "Age"),
            wide=_WORKLOAD,
            numbers=("Desired", "Current", "Ready", "Up-to-date", "Available"),
        ),
        _daemon_set,
    ),
    "ReplicationController": Table(
        columns(
            "Name",
            "Desired",
            "Current",
            "Ready",
            "Age",
            wide=_WORKLOAD,
            numbers=("Desired", "Current", "Ready"),
        ),
        _replication_controller,
    ),
    "Job": Table(columns("Name", "Status", "Completions", "Duration", "Age", wide=_WORKLOAD), _job),
    "CronJob": Table(
        columns(
            *("Name", "Schedule", "Timezone", "Suspend", "Active", "Last Schedule", "Age"),
            wide=_WORKLOAD,
            numbers=["Active"],
        ),
        _cron_job,
    ),
    "PersistentVolume": Table(
        columns(
            *("Name", "Capacity", "Access Modes", "Reclaim Policy", "Status", "Claim", "StorageClass"),
            *("VolumeAttributesClass", "Reason", "Age"),
            wide=["VolumeMode"],
        ),
        _volume,
    ),
    "PersistentVolumeClaim": Table(
        columns(
            *(
                "Name",
                "Status",
                "Volume",
                "Capacity",
                "Access Modes",
                "StorageClass",
                "VolumeAttributesClass",
                "Age",
            ),
            wide=["VolumeMode"],
        ),
        _volume_claim,
    ),
    "StorageClass": Table(
        columns("Name", "Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion", "Age"),
        _storage_class,
    ),
    "Endpoints": Table(columns("Name", "Endpoints", "Age"), _endpoints),
    "PodDisruptionBudget": Table(
        columns(
            *("Name", "Min Available", "Max Unavailable", "Allowed Disruptions", "Age"),
            numbers=["Allowed Disruptions"],
        ),
        _disruption_budget,
    ),
    "NetworkPolicy": Table(columns("Name", "Pod-Selector", "Age"), _network_policy),
    "HorizontalPodAutoscaler": Table(
        columns(
            *("Name", "Reference", "Targets", "MinPods", "MaxPods", "Replicas", "Age"),
            numbers=("MaxPods", "Replicas"),
        ),
        _autoscaler,
    ),
    "RoleBinding": _BINDINGS,
    "ClusterRoleBinding": _BINDINGS,
    "PriorityClass": Table(
        columns("Name", "Value", "Global-Default", "Age", "PreemptionPolicy", numbers=["Value"]),
        _priority_class,
    ),
    "MutatingWebhookConfiguration": _WEBHOOKS,
    "ValidatingWebhookConfiguration": _WEBHOOKS,
    "ControllerRevision": Table(
        columns("Name", "Controller", "Revision", "Age", numbers=["Revision"]), _controller_revision
    ),
    "ResourceQuota": Table(columns("Name", "Request", "Limit", "Age"), _quota),
}
