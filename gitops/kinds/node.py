"""node.k8s.io/v1: RuntimeClass, under which of its engine's runtimes a node runs a pod (API reference 1.35).

Not for the kind Node, which is in `core/node.py`. Source: Kubernetes, pkg/apis/node/validation.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, NotRequired, TypedDict

from gitops.kinds import names, wording
from gitops.kinds.core.container_checks import check_resources
from gitops.kinds.core.pod_checks import check_tolerations
from gitops.kinds.core.pod_types import Toleration
from gitops.kinds.kind import Kind, Problem
from gitops.kinds.objects import KubeObject
from gitops.kinds.tables import Row, age_of, columns, name_of


class Overhead(TypedDict):
    podFixed: NotRequired[dict[str, str]]  # What a pod takes beside its containers.


class Scheduling(TypedDict):
    nodeSelector: NotRequired[dict[str, str]]
    tolerations: NotRequired[list[Toleration]]


class RuntimeClass(KubeObject):
    handler: str  # A runtime's name at the engine of each node that runs such pods.
    overhead: NotRequired[Overhead]
    scheduling: NotRequired[Scheduling]


def check_runtime_class(one: RuntimeClass) -> Iterator[Problem]:
    if wrong := names.dns_label(one["handler"]):
        yield wording.invalid("handler", one["handler"], wrong)
    if fixed := (one.get("overhead") or {}).get("podFixed"):
        yield from check_resources({"limits": fixed}, "overhead.podFixed")
    scheduling = one.get("scheduling") or Scheduling()
    yield from names.check_labels(scheduling.get("nodeSelector"), "scheduling.nodeSelector")
    yield from check_tolerations(scheduling.get("tolerations"), "scheduling.tolerations")


def check_runtime_class_update(old: RuntimeClass, new: RuntimeClass) -> Iterator[Problem]:
    if old["handler"] != new["handler"]:
        yield wording.invalid("handler", new["handler"], wording.IMMUTABLE)


def _cells(one: RuntimeClass, now: datetime) -> Row:
    return name_of(one), one["handler"], age_of(one, now)


RUNTIME_CLASS: Final[Kind[RuntimeClass]] = Kind(
    "node.k8s.io/v1",
    "RuntimeClass",
    "runtimeclasses",
    namespaced=False,
    shape=RuntimeClass,
    check=check_runtime_class,
    check_update=check_runtime_class_update,
    columns=columns("Name", "Handler", "Age"),
    cells=_cells,
)
