"""What comes first: the objects of a commit that another one refers to, so that pods start with their new settings.

Kinds refer to each other in one direction only (a workload to its ConfigMaps, an account to its secrets), so nothing
can wait in a circle; and only what is on its way is waited for, so one bad object stops no other.
Source: gitops-engine, `pkg/sync/sync_tasks.go`, for which kinds come before which.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gitops.controllers.records import is_applied
from gitops.kinds.gitward import DECLARED, declared_key, first_claim
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, group_of
from gitops.reconcile import Reader

# Field of a pod's specification -> the kind that it names, and in which of its own fields.
_NAMED: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "configMap": ("ConfigMap", ("name",)),
    "configMapRef": ("ConfigMap", ("name",)),
    "configMapKeyRef": ("ConfigMap", ("name",)),
    "secret": ("Secret", ("secretName", "name")),
    "secretRef": ("Secret", ("name",)),
    "secretKeyRef": ("Secret", ("name",)),
    "persistentVolumeClaim": ("PersistentVolumeClaim", ("claimName",)),
}
_RBAC: Final = "rbac.authorization.k8s.io"
_DEPTH_MAX: Final = 12  # Of a pod's specification down to its deepest reference.
Json = Any  # Any JSON: what is declared is not checked yet.


def first_on_its_way(view: Reader, stated: KubeObject) -> Key | None:
    """An object that must be live before this one and is neither live yet nor held up; None: nothing is to wait for."""
    for key in references(stated):
        record = view.get(DECLARED, declared_key(key))
        if record is None or first_claim(record)["state"] != "declared" or is_applied(record):
            continue
        status = record.get("status", {})
        if "problem" not in status and "waiting" not in status:
            return key
    return None


def references(stated: KubeObject) -> Iterator[Key]:
    """The objects that one refers to and that should be there first."""
    body: Json = stated
    namespace = stated["metadata"].get("namespace", "")
    match group_of(stated["apiVersion"]), stated["kind"]:
        case ("", "Pod"):
            yield from _of_pod(body.get("spec"), namespace)
        case ("", "ReplicationController") | ("apps", _) | ("batch", "Job"):
            yield from _of_pod(_at(body, "spec", "template", "spec"), namespace)
        case ("batch", "CronJob"):
            yield from _of_pod(_at(body, "spec", "jobTemplate", "spec", "template", "spec"), namespace)
        case ("", "ServiceAccount"):
            yield from _each(body, "imagePullSecrets", "Secret", namespace)
        case ("networking.k8s.io", "Ingress"):
            for entry in _list(_at(body, "spec", "tls")):
                yield from _key("", "Secret", namespace, _at(entry, "secretName"))
            yield from _key("networking.k8s.io", "IngressClass", "", _at(body, "spec", "ingressClassName"))
        case (group, "RoleBinding" | "ClusterRoleBinding") if group == _RBAC:
            kind = _at(body, "roleRef", "kind")
            place = namespace if kind == "Role" else ""
            yield from _key(_RBAC, str(kind), place, _at(body, "roleRef", "name"))
        case ("", "PersistentVolumeClaim"):
            yield from _key("storage.k8s.io", "StorageClass", "", _at(body, "spec", "storageClassName"))
        case _:
            return


def _of_pod(spec: Json, namespace: str) -> Iterator[Key]:
    yield from _key("", "ServiceAccount", namespace, _at(spec, "serviceAccountName"))
    yield from _key("scheduling.k8s.io", "PriorityClass", "", _at(spec, "priorityClassName"))
    yield from _key("node.k8s.io", "RuntimeClass", "", _at(spec, "runtimeClassName"))
    yield from _each(spec, "imagePullSecrets", "Secret", namespace)
    yield from _named_in(spec, namespace, _DEPTH_MAX)


def _named_in(value: Json, namespace: str, depth: int) -> Iterator[Key]:
    if depth == 0:
        return
    if isinstance(value, list):
        for item in value:
            yield from _named_in(item, namespace, depth - 1)
    elif isinstance(value, Mapping):
        for field, below in value.items():
            if field in _NAMED and isinstance(below, Mapping):
                kind, names = _NAMED[field]
                yield from _key(
                    "", kind, namespace, next((below[one] for one in names if one in below), None)
                )
            if isinstance(below, Mapping | list):
                yield from _named_in(below, namespace, depth - 1)


def _each(body: Json, field: str, kind: str, namespace: str) -> Iterator[Key]:
    for item in _list(_at(body, field)):
        yield from _key("", kind, namespace, _at(item, "name"))


def _key(group: str, kind: str, namespace: str, name: Json) -> Iterator[Key]:
    if isinstance(name, str) and name:
        yield Key(group, kind, namespace, name)


def _at(value: Json, *path: str) -> Json:
    for field in path:
        value = value.get(field) if isinstance(value, Mapping) else None
    return value


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
