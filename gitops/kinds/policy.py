"""policy/v1: PodDisruptionBudget, how many of some pods may be missing at once of someone's free will (API reference
1.35). Evictions, which drains make, ask it; deletions do not."""

from collections.abc import Iterator
from typing import Final, Literal, NotRequired, TypedDict

from gitops.kinds import wording
from gitops.kinds.kind import Kind, Problem
from gitops.kinds.objects import Condition, KubeObject
from gitops.kinds.official_tables import TABLES
from gitops.kinds.selectors import LabelSelector

POLICIES: Final = ("AlwaysAllow", "IfHealthyBudget")


class PodDisruptionBudgetSpec(TypedDict, total=False):
    """Amounts are numbers or percentages, both rounded up; one of the two at most."""

    minAvailable: int | str
    maxUnavailable: int | str
    selector: LabelSelector | None  # None or absent: no pods; empty: all of the namespace.
    unhealthyPodEvictionPolicy: Literal["IfHealthyBudget", "AlwaysAllow"]


class PodDisruptionBudgetStatus(TypedDict):
    currentHealthy: int
    desiredHealthy: int
    disruptionsAllowed: int
    expectedPods: int
    disruptedPods: NotRequired[dict[str, str]]  # Name of a pod -> when its eviction was granted.
    observedGeneration: NotRequired[int]
    conditions: NotRequired[list[Condition]]


class PodDisruptionBudget(KubeObject):
    spec: NotRequired[PodDisruptionBudgetSpec]
    status: NotRequired[PodDisruptionBudgetStatus]


def spec_of(budget: PodDisruptionBudget) -> PodDisruptionBudgetSpec:
    return budget.get("spec") or {}


def budget_status(budget: PodDisruptionBudget) -> PodDisruptionBudgetStatus:
    """All zero before the controller has looked at it: nothing may be disrupted then."""
    zero: PodDisruptionBudgetStatus = {
        "currentHealthy": 0,
        "desiredHealthy": 0,
        "disruptionsAllowed": 0,
        "expectedPods": 0,
    }
    return {**zero, **(budget.get("status") or {})}  # type: ignore[typeddict-item] # The same keys.


def check_budget(budget: PodDisruptionBudget) -> Iterator[Problem]:
    spec = spec_of(budget)
    if "minAvailable" in spec and "maxUnavailable" in spec:
        yield wording.invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set")
    for field in ("minAvailable", "maxUnavailable"):
        amount = spec.get(field)
        if isinstance(amount, int | str):
            yield from wording.amount(f"spec.{field}", amount)
            yield from wording.at_most_all(f"spec.{field}", amount)
    yield from wording.one_of(
        "spec.unhealthyPodEvictionPolicy", spec.get("unhealthyPodEvictionPolicy") or POLICIES[0], POLICIES
    )


POD_DISRUPTION_BUDGET: Final[Kind[PodDisruptionBudget]] = Kind(
    "policy/v1",
    "PodDisruptionBudget",
    "poddisruptionbudgets",
    short=("pdb",),
    subresources=("status",),
    shape=PodDisruptionBudget,
    check=check_budget,
    columns=TABLES["PodDisruptionBudget"].columns,
    cells=TABLES["PodDisruptionBudget"].cells,
)
