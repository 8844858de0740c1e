"""Namespace (core/v1). Source: Kubernetes API reference 1.35."""

from typing import Final, NotRequired, TypedDict

from gitops.kinds.kind import Kind
from gitops.kinds.objects import Condition, KubeObject


class NamespaceSpec(TypedDict):
    finalizers: NotRequired[list[str]]


class NamespaceStatus(TypedDict):
    phase: NotRequired[str]  # Active or Terminating.
    conditions: NotRequired[list[Condition]]


class Namespace(KubeObject):
    spec: NamespaceSpec
    status: NotRequired[NamespaceStatus]


NAMESPACE: Final[Kind[Namespace]] = Kind(
    "v1",
    "Namespace",
    "namespaces",
    namespaced=False,
    short=("ns",),
    subresources=("status", "finalize"),
    shape=Namespace,
    field_selectors=("status.phase",),
)
