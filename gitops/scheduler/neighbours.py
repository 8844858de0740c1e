"""What other objects decide: claims and their volumes, hard topology spread, required affinity and anti-affinity.

Source: plug-ins VolumeRestrictions, VolumeBinding, VolumeZone, PodTopologySpread and InterPodAffinity, 1.35. Counts are
by domain, which is the value of a node's label; pods that are being deleted count for affinity, but not for spread.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from gitops.scheduler.filters import hard_taint, is_chosen, term_matches
from gitops.scheduler.state import Refusal, Row, State
from gitops.scheduler.template import Json, Spread, Template, Term
from gitops.scheduler.volumes import Claimed, Volume

SPREAD: Final = Refusal(("node(s) didn't match pod topology spread constraints",), curable=True)
UNLABELLED: Final = Refusal(
    ("node(s) didn't match pod topology spread constraints (missing required label)",), curable=False
)
ONE_POD: Final = Refusal(
    ("node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode",),
    curable=True,
)
ELSEWHERE: Final = Refusal(("node(s) had volume node affinity conflict",), curable=False)
UNBOUND: Final = Refusal(("node(s) didn't find available persistent volumes to bind",), curable=False)
LOST: Final = Refusal(
    ("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",), curable=False
)
OTHER_ZONE: Final = Refusal(("node(s) had no available volume zone",), curable=False)
NEAR: Final = Refusal(("node(s) didn't match pod affinity rules",), curable=False)
FAR: Final = Refusal(("node(s) didn't match pod anti-affinity rules",), curable=True)
REPELLED: Final = Refusal(("node(s) didn't satisfy existing pods anti-affinity rules",), curable=True)

Rule = Callable[[Row], Refusal | None]
Domains = Counter[str]


def rules_for(state: State, template: Template) -> list[Rule]:
    """In the profile's order; what they count is counted now. Empty for most pods."""
    rules: list[Rule] = []
    if template.claims:
        rules.append(_volume_rule(state.volumes.asked(template.namespace, template.claims)))
    hard = [one for one in template.spread if one.hard]
    if hard:
        rules.append(_spread_rule(state, template, hard))
    if template.near:
        rules.append(_near_rule(state, template))
    if template.far:
        rules.append(_far_rule(state, template.far, FAR))
    repelled = [
        term for term in state.repelled if term.wants(template.namespace, template.labels, state.namespaces)
    ]
    if repelled:
        rules.append(_repelled_rule(state, repelled))
    return rules


def _volume_rule(asked: Claimed) -> Rule:
    """A pod's claims. Where one has no volume at all the pod was told before any node was looked at."""

    def rule(row: Row) -> Refusal | None:
        if asked.alone:
            return ONE_POD
        if not all(_is_at(one, row) for one in asked.volumes):
            return ELSEWHERE
        if asked.lost:
            return LOST
        if not all(late is None or any(_is_at(one, row) for one in late) for late in asked.late):
            return UNBOUND
        for label, zones in (zone for one in asked.volumes for zone in one.zones):
            if row.labels.get(label, next(iter(zones))) not in zones:
                return OTHER_ZONE
        return None

    return rule


def _is_at(volume: Volume, row: Row) -> bool:
    """Whether the volume can be mounted on the node."""
    return volume.terms is None or _holds_one(volume.terms, row)


def _holds_one(terms: Iterable[Json], row: Row) -> bool:
    return any(term_matches(term, row) for term in terms)


def _spread_rule(state: State, template: Template, constraints: list[Spread]) -> Rule:
    prepared = []
    for one in constraints:
        eligible = [row for row in state.order if _is_eligible(template, row, one, constraints)]
        domains = Counter({row.labels[one.topology]: 0 for row in eligible})
        names = {row.name for row in eligible}
        for nodes in state.spread_over(template, one):
            for name, number in nodes.items():
                if name in names:
                    domains[state.rows[name].labels[one.topology]] += number
        least = min(domains.values(), default=0) if len(domains) >= one.domains_min else 0
        allowed = one.skew_max + least - one.counts(template.labels)
        prepared.append((one.topology, domains, allowed))

    def rule(row: Row) -> Refusal | None:
        for topology, domains, allowed in prepared:
            value = row.labels.get(topology)
            if value is None:
                return UNLABELLED
            if domains[value] > allowed:
                return SPREAD
        return None

    return rule


def _is_eligible(template: Template, row: Row, one: Spread, constraints: Iterable[Spread]) -> bool:
    """Whether a node's domain and pods count: it has every label, and the policies that the constraint honours."""
    if any(other.topology not in row.labels for other in constraints):
        return False
    if one.honor_affinity and not is_chosen(template, row):
        return False
    return not (one.honor_taints and hard_taint(template, row) is not None)


def _near_rule(state: State, template: Template) -> Rule:
    """A pod counts only if it matches all the terms; the first pod of a group that wants itself may go anywhere."""
    shared = set(state.matching(template.near[0]))
    for term in template.near[1:]:
        shared &= set(state.matching(term))
    counts = [
        domains_of(state, term.topology, (state.groups[group] for group in shared)) for term in template.near
    ]
    first = not any(counts) and all(
        term.wants(template.namespace, template.labels, state.namespaces) for term in template.near
    )

    def rule(row: Row) -> Refusal | None:
        for term, domains in zip(template.near, counts, strict=True):
            value = row.labels.get(term.topology)
            if value is None or (not first and domains[value] <= 0):
                return NEAR
        return None

    return rule


def _far_rule(state: State, terms: Iterable[Term], refusal: Refusal) -> Rule:
    counts = [
        (
            term.topology,
            domains_of(state, term.topology, (state.groups[group] for group in state.matching(term))),
        )
        for term in terms
    ]
    return _none_of(counts, refusal)


def _repelled_rule(state: State, terms: Iterable[Term]) -> Rule:
    """Anti-affinity holds both ways: the pods that are there have theirs."""
    counts = [(term.topology, domains_of(state, term.topology, (state.repelled[term],))) for term in terms]
    return _none_of(counts, REPELLED)


def _none_of(counts: list[tuple[str, Domains]], refusal: Refusal) -> Rule:
    def rule(row: Row) -> Refusal | None:
        for topology, domains in counts:
            value = row.labels.get(topology)
            if value is not None and domains[value] > 0:
                return refusal
        return None

    return rule


def domains_of(state: State, topology: str, groups: Iterable[Counter[str]]) -> Domains:
    """How many pods each domain has; nodes without the label are in none."""
    domains: Domains = Counter()
    for nodes in groups:
        for name, number in nodes.items():
            row = state.rows.get(name)
            value = row.labels.get(topology) if row is not None else None
            if value is not None:
                domains[value] += number
    return domains
