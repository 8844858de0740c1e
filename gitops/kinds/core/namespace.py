"""Namespace (core/v1). Source: Kubernetes API reference 1.35."""

from datetime import datetime
from typing import Final, NotRequired, TypedDict

from gitops.kinds.filling import change, fill
from gitops.kinds.kind import Kind
from gitops.kinds.objects import Condition, KubeObject, labels_of, with_meta
from gitops.kinds.tables import Row, age_of, columns, name_of


class NamespaceSpec(TypedDict):
    finalizers: NotRequired[list[str]]


class NamespaceStatus(TypedDict):
    phase: NotRequired[str]  # Active or Terminating.
    conditions: NotRequired[list[Condition]]


class Namespace(KubeObject):
    spec: NamespaceSpec
    status: NotRequired[NamespaceStatus]


NAME_LABEL: Final = "kubernetes.io/metadata.name"  # Lets selectors of namespaces name one.


def default_namespace(namespace: Namespace) -> Namespace:
    namespace = fill(namespace, spec={}, status={})
    namespace = change(namespace, "spec", lambda spec: fill(spec, finalizers=["kubernetes"]))
    namespace = change(namespace, "status", lambda status: fill(status, phase="Active"))
    name, labels = namespace["metadata"].get("name"), labels_of(namespace)
    if not name or labels.get(NAME_LABEL) == name:
        return namespace
    return with_meta(namespace, labels={**labels, NAME_LABEL: name})


def _cells(namespace: Namespace, now: datetime) -> Row:
    return name_of(namespace), (namespace.get("status") or {}).get("phase", ""), age_of(namespace, now)


NAMESPACE: Final[Kind[Namespace]] = Kind(
    "v1",
    "Namespace",
    "namespaces",
    namespaced=False,
    short=("ns",),
    subresources=("status", "finalize"),
    shape=Namespace,
    defaults=default_namespace,
    columns=columns("Name", "Status", "Age"),
    cells=_cells,
    field_selectors=("status.phase",),
)
