"""scheduling.k8s.io/v1: PriorityClass, how much a pod matters beside others (API reference 1.35)."""

from collections.abc import Iterator
from typing import Final, NotRequired

from gitops.kinds import wording
from gitops.kinds.filling import fill
from gitops.kinds.kind import Kind, Problem
from gitops.kinds.objects import KubeObject
from gitops.kinds.official_tables import TABLES

USER_PRIORITY_MAX: Final = 1_000_000_000
SYSTEM_PREFIX: Final = "system-"


# Every cluster has these two, whether somebody made an object of their name or not.
SYSTEM_CLASSES: Final[dict[str, int]] = {
    "system-cluster-critical": 2_000_000_000,
    "system-node-critical": 2_000_001_000,
}


class PriorityClass(KubeObject):
    value: int
    preemptionPolicy: NotRequired[str]  # PreemptLowerPriority or Never.
    globalDefault: NotRequired[bool]
    description: NotRequired[str]


def default_priority_class(one: PriorityClass) -> PriorityClass:
    return fill(one, preemptionPolicy="PreemptLowerPriority")


def check_priority_class(one: PriorityClass) -> Iterator[Problem]:
    name, value = one["metadata"].get("name", ""), one["value"]
    if name.startswith(SYSTEM_PREFIX):
        if SYSTEM_CLASSES.get(name) != value:
            why = (
                "priority class names with 'system-' prefix are reserved for system use only. "
                f"error: {name} is not a known system priority class"
            )
            yield wording.forbidden("metadata.name", why)
    elif value > USER_PRIORITY_MAX:
        why = f"maximum allowed value of a user defined priority is {USER_PRIORITY_MAX}"
        yield wording.forbidden("value", why)
    yield from wording.one_of(
        "preemptionPolicy", one.get("preemptionPolicy") or "", ("Never", "PreemptLowerPriority")
    )


def check_priority_class_update(old: PriorityClass, new: PriorityClass) -> Iterator[Problem]:
    if old["value"] != new["value"]:
        yield wording.forbidden("value", "may not be changed in an update.")
    if old.get("preemptionPolicy") != new.get("preemptionPolicy"):
        yield wording.invalid("preemptionPolicy", new.get("preemptionPolicy"), wording.IMMUTABLE)


PRIORITY_CLASS: Final[Kind[PriorityClass]] = Kind(
    "scheduling.k8s.io/v1",
    "PriorityClass",
    "priorityclasses",
    namespaced=False,
    short=("pc",),
    shape=PriorityClass,
    defaults=default_priority_class,
    check=check_priority_class,
    check_update=check_priority_class_update,
    columns=TABLES["PriorityClass"].columns,
    cells=TABLES["PriorityClass"].cells,
)
