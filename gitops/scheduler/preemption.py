"""Preemption: on which node fewer and less important pods would have to go to make room for a pod.

Source: plug-in DefaultPreemption, 1.35. Kubernetes looks at a tenth of the nodes from a random start; this looks at
all, so the answer is the best and the same each time. On each node all less important pods are taken away, and then
given back, the most important first, those that a disruption budget protects before others, as long as the pod fits.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from gitops.kinds.core.amounts import PODS
from gitops.kinds.keys import Key
from gitops.kinds.policy import POD_DISRUPTION_BUDGET, PodDisruptionBudget, budget_status, spec_of
from gitops.kinds.selectors import LabelSelector, matches
from gitops.reconcile import Reader
from gitops.scheduler.choice import refusal_of
from gitops.scheduler.filters import explain
from gitops.scheduler.neighbours import rules_for
from gitops.scheduler.state import Placed, Refusal, Row, State
from gitops.scheduler.template import Template

PRIORITY_OFFSET: Final = 2**31  # Makes priorities positive before they are added up.

NO_VICTIMS: Final = Refusal(("No preemption victims found for incoming pod",), curable=False)
NOT_HELPFUL: Final = Refusal(("Preemption is not helpful for scheduling",), curable=False)


class Candidate(NamedTuple):
    """A node, and who has to leave it."""

    row: Row
    victims: tuple[Placed, ...]
    violations: int  # Disruptions beyond what budgets allow.


class Budget(NamedTuple):
    """A PodDisruptionBudget."""

    namespace: str
    selector: LabelSelector | None
    allowed: int


def preempt(view: Reader, state: State, template: Template, key: Key) -> tuple[Candidate | None, str]:
    """The best candidate; without one Kubernetes' words for why there is none."""
    if not template.preempts:
        return None, "not eligible due to preemptionPolicy=Never."
    nominated = state.nominated.get(key)
    if nominated is not None and any(
        one.going and one.template.priority < template.priority
        for one in (state.rows[nominated.node].pods.values() if nominated.node in state.rows else ())
    ):
        return None, "not eligible due to terminating pod on the nominated node."
    budgets = _budgets(view)
    rules = rules_for(state, template)
    plain = not rules and not template.ports
    found: list[Candidate] = []
    refused: list[Refusal] = []
    for row in state.order:
        refusal = refusal_of(state, template, row, rules, key)
        if refusal is None:
            continue
        if not refusal.curable:
            refused.append(NOT_HELPFUL)
            continue
        lower = [one for one in row.pods.values() if one.template.priority < template.priority]
        if not lower:
            refused.append(NO_VICTIMS)
            continue
        answer = (_by_sums if plain else _by_booking)(state, template, row, lower, budgets, key)
        if isinstance(answer, Candidate):
            found.append(answer)
        else:
            refused.append(answer)
    if not found:
        return None, explain(refused)
    return min(found, key=_cost), ""


def _by_sums(
    state: State, template: Template, row: Row, lower: list[Placed], budgets: Sequence[Budget], key: Key
) -> Candidate | Refusal:
    """Where only room is lacking, sums decide."""
    held = [
        one
        for one in state.nominated.values()
        if one.node == row.name and one.key != key and one.template.priority >= template.priority
    ]
    wanted = {name: amount for name, amount in template.requests.items() if amount}
    free = {
        name: row.allocatable.get(name, 0)
        - row.used.get(name, 0)
        - amount
        - sum(one.template.requests.get(name, 0) for one in held)
        for name, amount in wanted.items()
    }
    free[PODS] = row.allocatable.get(PODS, 0) - row.used[PODS] - 1 - len(held)

    def takes(one: Placed, name: str) -> int:
        return 1 if name == PODS else one.template.requests.get(name, 0)

    for one in lower:
        for name in free:
            free[name] += takes(one, name)
    lacking = [name for name, amount in free.items() if amount < 0]
    if lacking:
        texts = ("Too many pods" if name == PODS else f"Insufficient {name}" for name in lacking)
        return Refusal(tuple(texts), curable=False)

    def back(one: Placed) -> bool:
        if any(free[name] < takes(one, name) for name in free):
            return False
        for name in free:
            free[name] -= takes(one, name)
        return True

    return _reprieved(row, lower, budgets, back)


def _by_booking(
    state: State, template: Template, row: Row, lower: list[Placed], budgets: Sequence[Budget], key: Key
) -> Candidate | Refusal:
    """Where other pods matter too, they are taken off the books and put back one by one."""
    away = dict.fromkeys(one.key for one in lower)
    for one in lower:
        state.unbook(one)
    try:
        refusal = refusal_of(state, template, row, rules_for(state, template), key)
        if refusal is not None:
            return refusal

        def back(one: Placed) -> bool:
            state.book(one)
            if refusal_of(state, template, row, rules_for(state, template), key) is None:
                del away[one.key]
                return True
            state.unbook(one)
            return False

        return _reprieved(row, lower, budgets, back)
    finally:
        for one in lower:
            if one.key in away:
                state.book(one)


def _reprieved(
    row: Row, lower: list[Placed], budgets: Sequence[Budget], back: Callable[[Placed], bool]
) -> Candidate:
    """Who is given back, and who is not."""
    ordered = sorted(lower, key=lambda one: (-one.template.priority, one.started, one.key.text))
    violating, others = _split(ordered, budgets)
    victims: list[Placed] = []
    violations = 0
    for one in violating:
        if not back(one):
            victims.append(one)
            violations += 1
    victims += [one for one in others if not back(one)]
    return Candidate(row, tuple(victims), violations)


def _split(ordered: Iterable[Placed], budgets: Sequence[Budget]) -> tuple[list[Placed], list[Placed]]:
    """Pods whose going would break a budget, and the others; each budget allows so many, the most important first."""
    spent: Counter[int] = Counter()
    violating: list[Placed] = []
    others: list[Placed] = []
    for one in ordered:
        broken = False
        for number, budget in enumerate(budgets):
            labels = one.template.labels
            if budget.namespace == one.template.namespace and labels and matches(budget.selector, labels):
                spent[number] += 1
                broken = broken or spent[number] > budget.allowed
        (violating if broken else others).append(one)
    return violating, others


def _cost(candidate: Candidate) -> tuple[object, ...]:
    """Kubernetes' order: budgets, the most important victim, all of them together, their number, the youngest."""
    victims = candidate.victims
    highest = max((one.template.priority for one in victims), default=-PRIORITY_OFFSET)
    earliest = min((one.started for one in victims if one.template.priority == highest), default="")
    return (
        candidate.violations,
        highest,
        sum(one.template.priority + PRIORITY_OFFSET for one in victims),
        len(victims),
        _Latest(earliest),
        candidate.row.rank,
    )


class _Latest(str):
    """Times of RFC 3339 that sort backwards."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)


def _budgets(view: Reader) -> list[Budget]:
    return [_budget(one) for one in view.list(POD_DISRUPTION_BUDGET)]


def _budget(one: PodDisruptionBudget) -> Budget:
    selector = spec_of(one).get("selector")
    return Budget(one["metadata"].get("namespace", ""), selector, budget_status(one)["disruptionsAllowed"])
