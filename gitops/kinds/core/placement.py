"""Where a pod may run, as its specification says it: affinity, spread, gates (core/v1, API reference 1.35).

Types and rules only; what they mean is the scheduler's. Source: Kubernetes, pkg/apis/core/validation.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NotRequired, TypedDict

from gitops.kinds import names, wording
from gitops.kinds.kind import Problem
from gitops.kinds.selectors import LabelSelector

WEIGHT_MAX: Final = 100
_NODE_OPERATORS: Final = ("DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn")
_LABEL_OPERATORS: Final = ("DoesNotExist", "Exists", "In", "NotIn")


class NodeSelectorRequirement(TypedDict):
    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    values: NotRequired[list[str]]


class NodeSelectorTerm(TypedDict):
    """All must hold; a term without anything matches no node."""

    matchExpressions: NotRequired[list[NodeSelectorRequirement]]
    matchFields: NotRequired[list[NodeSelectorRequirement]]  # Of metadata.name alone.


class NodeSelector(TypedDict):
    nodeSelectorTerms: list[NodeSelectorTerm]  # One must hold.


class PreferredSchedulingTerm(TypedDict):
    weight: int
    preference: NodeSelectorTerm


class NodeAffinity(TypedDict):
    requiredDuringSchedulingIgnoredDuringExecution: NotRequired[NodeSelector]
    preferredDuringSchedulingIgnoredDuringExecution: NotRequired[list[PreferredSchedulingTerm]]


class PodAffinityTerm(TypedDict):
    topologyKey: str
    labelSelector: NotRequired[LabelSelector]
    namespaces: NotRequired[list[str]]
    namespaceSelector: NotRequired[LabelSelector]
    matchLabelKeys: NotRequired[list[str]]
    mismatchLabelKeys: NotRequired[list[str]]


class WeightedPodAffinityTerm(TypedDict):
    weight: int
    podAffinityTerm: PodAffinityTerm


class PodAffinity(TypedDict):
    """Of pods that shall be near, and, as `podAntiAffinity`, of those that shall not."""

    requiredDuringSchedulingIgnoredDuringExecution: NotRequired[list[PodAffinityTerm]]
    preferredDuringSchedulingIgnoredDuringExecution: NotRequired[list[WeightedPodAffinityTerm]]


class Affinity(TypedDict):
    nodeAffinity: NotRequired[NodeAffinity]
    podAffinity: NotRequired[PodAffinity]
    podAntiAffinity: NotRequired[PodAffinity]


class TopologySpreadConstraint(TypedDict):
    maxSkew: int
    topologyKey: str
    whenUnsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    labelSelector: NotRequired[LabelSelector]
    minDomains: NotRequired[int]
    nodeAffinityPolicy: NotRequired[Literal["Honor", "Ignore"]]  # Absent: Honor.
    nodeTaintsPolicy: NotRequired[Literal["Honor", "Ignore"]]  # Absent: Ignore.
    matchLabelKeys: NotRequired[list[str]]


class PodSchedulingGate(TypedDict):
    name: str


def check_placement(spec: Mapping[str, Any], field: str) -> Iterator[Problem]:
    """The rules of `affinity`, `topologySpreadConstraints` and `schedulingGates` in a pod's specification."""
    affinity = spec.get("affinity") or {}
    yield from _check_node_affinity(affinity.get("nodeAffinity") or {}, f"{field}.affinity.nodeAffinity")
    for name in ("podAffinity", "podAntiAffinity"):
        yield from _check_pod_affinity(affinity.get(name) or {}, f"{field}.affinity.{name}")
    yield from _check_spread(
        spec.get("topologySpreadConstraints") or (), f"{field}.topologySpreadConstraints"
    )
    seen: set[str] = set()
    for index, gate in enumerate(spec.get("schedulingGates") or ()):
        at, name = f"{field}.schedulingGates[{index}]", gate.get("name") or ""
        if wrong := names.qualified_name(name):
            yield wording.invalid(f"{at}.name", name, wrong)
        if name in seen:
            yield wording.duplicate(at, name)
        seen.add(name)


def _check_node_affinity(affinity: Mapping[str, Any], field: str) -> Iterator[Problem]:
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is not None:
        at = f"{field}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
        if not required.get("nodeSelectorTerms"):
            yield wording.required(at, "must have at least one node selector term")
        for index, term in enumerate(required.get("nodeSelectorTerms") or ()):
            yield from _check_term(term, f"{at}[{index}]")
    for index, one in enumerate(affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
        at = f"{field}.preferredDuringSchedulingIgnoredDuringExecution[{index}]"
        yield from _check_weight(one, at)
        yield from _check_term(one.get("preference") or {}, f"{at}.preference")


def _check_term(term: Mapping[str, Any], field: str) -> Iterator[Problem]:
    for index, one in enumerate(term.get("matchExpressions") or ()):
        at, operator, values = f"{field}.matchExpressions[{index}]", one["operator"], one.get("values") or []
        if wrong := names.qualified_name(one["key"]):
            yield wording.invalid(f"{at}.key", one["key"], wrong)
        if operator not in _NODE_OPERATORS:
            yield wording.invalid(f"{at}.operator", operator, "not a valid selector operator")
        elif operator in ("In", "NotIn") and not values:
            why = "must be specified when `operator` is 'In' or 'NotIn'"
            yield wording.required(f"{at}.values", why)
        elif operator in ("Gt", "Lt") and len(values) != 1:
            yield wording.required(
                f"{at}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'"
            )
        elif operator in ("Exists", "DoesNotExist") and values:
            why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield wording.forbidden(f"{at}.values", why)
    for index, one in enumerate(term.get("matchFields") or ()):
        at = f"{field}.matchFields[{index}]"
        if one["key"] != "metadata.name":
            yield wording.invalid(f"{at}.key", one["key"], "not a valid field selector key")
        if one["operator"] not in ("In", "NotIn"):
            yield wording.invalid(f"{at}.operator", one["operator"], "not a valid selector operator")
        elif len(one.get("values") or ()) != 1:
            yield wording.required(
                f"{at}.values", "must be only one value when `operator` is 'In' or 'NotIn'"
            )


def _check_pod_affinity(affinity: Mapping[str, Any], field: str) -> Iterator[Problem]:
    for index, term in enumerate(affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ()):
        at = f"{field}.requiredDuringSchedulingIgnoredDuringExecution[{index}]"
        yield from _check_affinity_term(term, at)
    for index, one in enumerate(affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
        at = f"{field}.preferredDuringSchedulingIgnoredDuringExecution[{index}]"
        yield from _check_weight(one, at)
        yield from _check_affinity_term(one.get("podAffinityTerm") or {}, f"{at}.podAffinityTerm")


def _check_affinity_term(term: Mapping[str, Any], field: str) -> Iterator[Problem]:
    yield from _check_selector(term.get("labelSelector"), f"{field}.labelSelector")
    yield from _check_selector(term.get("namespaceSelector"), f"{field}.namespaceSelector")
    yield from _check_topology_key(term.get("topologyKey") or "", f"{field}.topologyKey")


def _check_spread(constraints: Any, field: str) -> Iterator[Problem]:
    seen: set[tuple[str, str]] = set()
    for index, one in enumerate(constraints):
        at = f"{field}[{index}]"
        if one["maxSkew"] <= 0:
            yield wording.invalid(f"{at}.maxSkew", one["maxSkew"], "must be greater than zero")
        yield from _check_topology_key(one.get("topologyKey") or "", f"{at}.topologyKey")
        yield from wording.one_of(
            f"{at}.whenUnsatisfiable", one["whenUnsatisfiable"], ("DoNotSchedule", "ScheduleAnyway")
        )
        if (domains := one.get("minDomains")) is not None:
            if domains <= 0:
                yield wording.invalid(f"{at}.minDomains", domains, "must be greater than zero")
            elif one["whenUnsatisfiable"] != "DoNotSchedule":
                why = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {one['whenUnsatisfiable']}"
                yield wording.invalid(f"{at}.minDomains", domains, why)
        pair = (one.get("topologyKey") or "", one["whenUnsatisfiable"])
        if pair in seen:
            yield wording.duplicate(f"{at}.{{topologyKey, whenUnsatisfiable}}", f"{{{pair[0]}, {pair[1]}}}")
        seen.add(pair)
        yield from _check_selector(one.get("labelSelector"), f"{at}.labelSelector")
        for policy in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            if policy in one:
                yield from wording.one_of(f"{at}.{policy}", one[policy], ("Honor", "Ignore"))


def _check_topology_key(key: str, field: str) -> Iterator[Problem]:
    if not key:
        yield wording.required(field, "can not be empty")
    elif wrong := names.qualified_name(key):
        yield wording.invalid(field, key, wrong)


def _check_weight(one: Mapping[str, Any], field: str) -> Iterator[Problem]:
    weight = one.get("weight", 0)
    if not 1 <= weight <= WEIGHT_MAX:
        yield wording.invalid(f"{field}.weight", weight, f"must be in the range 1-{WEIGHT_MAX}")


def _check_selector(selector: Mapping[str, Any] | None, field: str) -> Iterator[Problem]:
    if not selector:
        return
    yield from names.check_labels(selector.get("matchLabels"), f"{field}.matchLabels")
    for index, one in enumerate(selector.get("matchExpressions") or ()):
        at, operator, values = f"{field}.matchExpressions[{index}]", one["operator"], one.get("values") or []
        if operator not in _LABEL_OPERATORS:
            yield wording.invalid(f"{at}.operator", operator, "not a valid selector operator")
        elif operator in ("In", "NotIn") and not values:
            yield wording.required(f"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in ("Exists", "DoesNotExist") and values:
            why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield wording.forbidden(f"{at}.values", why)
