"""One pod among all nodes: the best where it fits, or why it fits nowhere.

What the nodes alone decide is kept for each template, and only rows touched since are looked at again: a pod of a
template that was seen costs a few microseconds and a maximum. All nodes are looked at, so a choice is the best there
is; ties go to the node with fewer pods, then by a hash of its name: never by history, or a plan would differ.
"""

from collections.abc import Sequence
from typing import Final

from gitops.kinds.core.amounts import PODS
from gitops.kinds.keys import Key
from gitops.scheduler.filters import fixed_refusal, room_refusal
from gitops.scheduler.neighbours import Rule, rules_for
from gitops.scheduler.scores import (
    by_neighbours,
    by_preference,
    by_spread,
    by_taints,
    local_score,
    preferred,
    shunned,
)
from gitops.scheduler.state import VERDICTS_MAX, Placed, Refusal, Row, State, Verdict
from gitops.scheduler.template import Template

# A key is score, then few pods, then rank: one integer, so that `max` is all that choosing takes.
RANK_BITS: Final = 20
PODS_BITS: Final = 20
PODS_LIMIT: Final = (1 << PODS_BITS) - 1
RANK_LIMIT: Final = (1 << RANK_BITS) - 1
SCORE_SHIFT: Final = RANK_BITS + PODS_BITS
UNFIT: Final = -1


def pick(state: State, template: Template, key: Key) -> Row | None:
    """The best node for the pod at `key`; None: there is none."""
    verdict = _verdict(state, template)
    keys: Sequence[int] = verdict.keys
    rules = rules_for(state, template)
    if state.nominated:
        keys = _beside_nominated(state, template, verdict, key)
    if rules:
        keys = [
            UNFIT if found < 0 or _broken(rules, row) else found
            for found, row in zip(keys, state.order, strict=True)
        ]
    best = max(keys, default=UNFIT)
    if best < 0:
        return None
    scored = _scored(state, template, verdict, keys)
    return state.order[scored.index(max(scored))]


def fits(state: State, template: Template, row: Row, key: Key) -> bool:
    """Whether the pod at `key` can run there; pods that a place is reserved for come first."""
    return refusal_of(state, template, row, rules_for(state, template), key) is None


def refusals(state: State, template: Template, key: Key) -> list[Refusal]:
    """Why the pod does not fit, for each node where it does not."""
    rules = rules_for(state, template)
    found = (refusal_of(state, template, row, rules, key) for row in state.order)
    return [one for one in found if one is not None]


def refusal_of(state: State, template: Template, row: Row, rules: Sequence[Rule], key: Key) -> Refusal | None:
    """The first filter that the node fails, in the profile's order."""
    refusal = fixed_refusal(template, row) or room_refusal(
        template, row, _reserved(state, template, row, key) if state.nominated else ()
    )
    return refusal or _broken(rules, row)


def _broken(rules: Sequence[Rule], row: Row) -> Refusal | None:
    for rule in rules:
        if (refusal := rule(row)) is not None:
            return refusal
    return None


def _scored(state: State, template: Template, verdict: Verdict, keys: Sequence[int]) -> Sequence[int]:
    """The keys with the scores that depend on which nodes are left."""
    places = [place for place, key in enumerate(keys) if key >= 0]
    extras: list[list[int]] = []
    if len(places) > 1:  # A pod with one feasible node is not scored.
        if verdict.shunned is not None:
            extras.append(by_taints([verdict.shunned[place] for place in places]))
        if verdict.preferred is not None:
            extras.append(by_preference([verdict.preferred[place] for place in places]))
        rows = [state.order[place] for place in places] if len(places) < len(keys) else state.order
        wished = (by_spread(state, template, rows), by_neighbours(state, template, rows))
        extras += [one for one in wished if one is not None]
    if not extras:
        return keys
    if len(extras) == 1 and len(places) == len(
        keys
    ):  # The usual case: all nodes, and the pod's spread over them.
        return [key + (added << SCORE_SHIFT) for key, added in zip(keys, extras[0], strict=True)]
    scored = [UNFIT] * len(keys)
    for place, *more in zip(places, *extras, strict=True):
        scored[place] = keys[place] + (sum(more) << SCORE_SHIFT)
    return scored


def _verdict(state: State, template: Template) -> Verdict:
    """What the nodes alone decide, brought up to date."""
    verdict = state.verdicts.get(template)
    if verdict is None:
        verdict = state.verdicts[template] = _new_verdict(state, template)
        if len(state.verdicts) > VERDICTS_MAX:
            state.verdicts.popitem(last=False)
        return verdict
    state.verdicts.move_to_end(template)
    missed = state.logged - verdict.at
    ranks = set(state.log[len(state.log) - missed :] if missed <= len(state.log) else range(len(state.order)))
    verdict.at = state.logged
    for rank in ranks:
        verdict.keys[rank] = _key(state, template, state.order[rank], verdict.fixed[rank])
    return verdict


def _new_verdict(state: State, template: Template) -> Verdict:
    fixed = [fixed_refusal(template, row) for row in state.order]
    keys = [_key(state, template, row, refusal) for row, refusal in zip(state.order, fixed, strict=True)]
    shunning = [shunned(template, row) for row in state.order]
    liking = [preferred(template, row) for row in state.order] if template.preferred else []
    return Verdict(
        state.logged, fixed, keys, shunning if any(shunning) else None, liking if any(liking) else None
    )


def _key(state: State, template: Template, row: Row, fixed: Refusal | None) -> int:
    if fixed is not None or room_refusal(template, row) is not None:
        return UNFIT
    few = PODS_LIMIT - row.used[PODS]
    return (local_score(state, template, row) << SCORE_SHIFT) | (few << RANK_BITS) | (RANK_LIMIT - row.rank)


def _beside_nominated(state: State, template: Template, verdict: Verdict, key: Key) -> list[int]:
    """The keys, less the nodes that pods of at least this importance have reserved the room of."""
    keys = verdict.keys.copy()
    for name in {one.node for one in state.nominated.values()}:
        row = state.rows.get(name)
        if row is not None and keys[row.rank] >= 0:
            reserved = _reserved(state, template, row, key)
            if reserved and room_refusal(template, row, reserved) is not None:
                keys[row.rank] = UNFIT
    return keys


def _reserved(state: State, template: Template, row: Row, key: Key) -> list[Placed]:
    return [
        one
        for one in state.nominated.values()
        if one.node == row.name and one.key != key and one.template.priority >= template.priority
    ]
