"""What scheduling needs to know of a pod, worked out once for all pods that are equal in it.

Source: kubernetes/pkg/scheduler/framework/types.go, 1.35. Pods of one owner share a template, and so what was found
out about it: where it fits, and how well.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import orjson

from gitops.kinds.apps import REPLICA_SET
from gitops.kinds.core.amounts import CPU, MEMORY, Amounts, requests_of, scored_requests_of
from gitops.kinds.core.placement import PodAffinityTerm, TopologySpreadConstraint
from gitops.kinds.core.pod import Container, Pod, Toleration, is_sidecar, qos_class
from gitops.kinds.core.pod_types import PodSpec
from gitops.kinds.core.service import SERVICE
from gitops.kinds.objects import controller_of, labels_of
from gitops.kinds.selectors import LabelSelector, LabelSelectorRequirement, matches, matches_map
from gitops.reconcile import Reader

HOSTNAME: Final = "kubernetes.io/hostname"
ZONE: Final = "topology.kubernetes.io/zone"
# The cluster's spreading of pods that services or owners select: (label of nodes, skew), both only wished for.
DEFAULT_SPREAD: Final = ((HOSTNAME, 3), (ZONE, 5))
BEARS_MEMORY_PRESSURE: Final[Toleration] = {
    "key": "node.kubernetes.io/memory-pressure",
    "operator": "Exists",
    "effect": "NoSchedule",
}
ANY_ADDRESS: Final = ("", "0.0.0.0")  # noqa: S104 # As pods write it: no address in particular.

Labels = Mapping[str, str]
Json = Mapping[str, Any]
Port = tuple[str, int, str]  # Protocol, port of the node, address of the node ('': all).


@dataclass(frozen=True, slots=True)
class Term:
    """Pods that a pod wants near or far. Equal terms are one, whoever has them: `identity` tells."""

    identity: bytes
    topology: str
    selector: LabelSelector | None
    namespaces: frozenset[str]
    namespace_selector: LabelSelector | None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Term) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash(self.identity)

    def wants(self, namespace: str, labels: Labels, namespaces: Mapping[str, Labels]) -> bool:
        """Whether it is about pods with these labels there; `namespaces`: each one's labels."""
        if namespace not in self.namespaces:
            if self.namespace_selector is None:
                return False
            if not matches(self.namespace_selector, namespaces.get(namespace, {})):
                return False
        return matches(self.selector, labels)


@dataclass(frozen=True, slots=True)
class Spread:
    """A topology spread constraint. `selectors`: all must match. `hard`: DoNotSchedule."""

    topology: str
    skew_max: int
    hard: bool
    selectors: tuple[LabelSelector, ...]
    domains_min: int = 1
    honor_affinity: bool = True
    honor_taints: bool = False

    def counts(self, labels: Labels) -> bool:
        return all(matches(one, labels) for one in self.selectors)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Template:
    """Attributes:
    scored: cpu and memory with an assumed amount where a container requests none.
    required: node affinity terms of which one must hold; None: there is none.
    preferred: weight and node affinity term.
    near, far: required affinity and anti-affinity; `liked`: the preferred ones, anti-affinity with a negative weight.
    claims: names of the PersistentVolumeClaims that it mounts.
    spread_by_default: `spread` is the cluster's, not the pod's own.
    """

    namespace: str
    labels: Labels
    requests: Amounts
    scored: tuple[int, int]
    ports: tuple[Port, ...]
    claims: tuple[str, ...]
    images: tuple[str, ...]
    tolerations: tuple[Toleration, ...]
    node_selector: Labels
    required: tuple[Json, ...] | None
    preferred: tuple[tuple[int, Json], ...]
    near: tuple[Term, ...]
    far: tuple[Term, ...]
    liked: tuple[tuple[int, Term], ...]
    spread: tuple[Spread, ...]
    spread_by_default: bool
    priority: int
    preempts: bool


def class_key(pod: Pod) -> bytes:
    """Equal for pods that are equal to the scheduler. Names of volumes and the like are left out."""
    spec = cast(dict[str, Any], pod["spec"])
    owner = controller_of(pod)
    return orjson.dumps(
        [
            pod["metadata"].get("namespace"),
            pod["metadata"].get("labels"),
            owner["uid"] if owner else "",
            spec.get("nodeSelector"),
            spec.get("affinity"),
            spec.get("tolerations"),
            spec.get("topologySpreadConstraints"),
            spec.get("priority"),
            spec.get("preemptionPolicy"),
            claims_of(pod),
            [_of_container(one) for one in spec["containers"]],
            [_of_container(one) for one in spec.get("initContainers") or ()],
        ],
        option=orjson.OPT_SORT_KEYS,
    )


def claims_of(pod: Pod) -> tuple[str, ...]:
    """The claims that a pod mounts, each once. An agent does not mount them yet, so no shape has the field."""
    volumes = cast("list[Json]", pod["spec"].get("volumes") or [])
    found = (volume.get("persistentVolumeClaim") for volume in volumes)
    return tuple({claim["claimName"]: None for claim in found if claim})


def _of_container(container: dict[str, Any]) -> tuple[object, ...]:
    requests = container["resources"].get("requests")
    return container["image"], requests, container.get("ports"), container.get("restartPolicy")


def _bears(pod: Pod) -> tuple[Toleration, ...]:
    """A pod that requests anything bears a node's memory pressure: who requests nothing goes first there."""
    return () if qos_class(pod) == "BestEffort" else (BEARS_MEMORY_PRESSURE,)


def compile_template(pod: Pod, default_spread: tuple[Spread, ...]) -> Template:
    """`default_spread`: the cluster's, for a pod that has none of its own."""
    spec, labels = pod["spec"], dict(labels_of(pod))
    affinity = spec.get("affinity") or {}
    node = affinity.get("nodeAffinity") or {}
    near, far = affinity.get("podAffinity") or {}, affinity.get("podAntiAffinity") or {}
    required = node.get("requiredDuringSchedulingIgnoredDuringExecution")
    liked = [
        (sign * one["weight"], _term(one["podAffinityTerm"], pod))
        for sign, side in ((1, near), (-1, far))
        for one in side.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    ]
    own = spec.get("topologySpreadConstraints") or ()
    scored = scored_requests_of(pod)
    containers = [*spec["containers"], *(spec.get("initContainers") or ())]
    return Template(
        namespace=pod["metadata"].get("namespace", ""),
        labels=labels,
        requests=requests_of(pod),
        scored=(scored[CPU], scored[MEMORY]),
        ports=tuple(_ports(spec)),
        claims=claims_of(pod),
        images=tuple(_normal(one["image"]) for one in containers),
        tolerations=(*(spec.get("tolerations") or ()), *_bears(pod)),
        node_selector=dict(spec.get("nodeSelector") or {}),
        required=None if required is None else tuple(cast("list[Json]", required["nodeSelectorTerms"])),
        preferred=tuple(
            (one["weight"], cast(Json, one["preference"]))
            for one in node.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        ),
        near=tuple(
            _term(one, pod) for one in near.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        ),
        far=tuple(_term(one, pod) for one in far.get("requiredDuringSchedulingIgnoredDuringExecution") or ()),
        liked=tuple(liked),
        spread=tuple(_spread(one, labels) for one in own) if own else default_spread,
        spread_by_default=not own,
        priority=spec.get("priority", 0),
        preempts=spec.get("preemptionPolicy", "") != "Never",
    )


def _ports(spec: PodSpec) -> Iterable[Port]:
    """Of the node; sidecars' too."""
    sidecars = [one for one in spec.get("initContainers") or () if is_sidecar(one)]
    for container in (*spec["containers"], *sidecars):
        yield from _ports_of(container)


def _ports_of(container: Container) -> Iterable[Port]:
    for port in container.get("ports") or ():
        if number := port.get("hostPort"):
            address = port.get("hostIP") or ""
            yield port["protocol"], number, "" if address in ANY_ADDRESS else address


def _normal(image: str) -> str:
    """As nodes name it: with a tag."""
    name = image.rpartition("/")[2]
    return image if ":" in name or "@" in name else f"{image}:latest"


def _term(term: PodAffinityTerm, pod: Pod) -> Term:
    own = labels_of(pod)
    added = [
        *_equal(term.get("matchLabelKeys"), own, "In"),
        *_equal(term.get("mismatchLabelKeys"), own, "NotIn"),
    ]
    selector = _narrowed(term.get("labelSelector"), added)
    spaces, by_labels = frozenset(term.get("namespaces") or ()), term.get("namespaceSelector")
    if not spaces and by_labels is None:
        spaces = frozenset((pod["metadata"].get("namespace", ""),))
    identity = orjson.dumps(
        [term["topologyKey"], selector, sorted(spaces), by_labels], option=orjson.OPT_SORT_KEYS
    )
    return Term(identity, term["topologyKey"], selector, spaces, by_labels)


def _spread(one: TopologySpreadConstraint, labels: Labels) -> Spread:
    added = _equal(one.get("matchLabelKeys"), labels, "In")
    selector = _narrowed(one.get("labelSelector"), added)
    # Without a selector nothing is counted, not even the pod itself.
    nothing: LabelSelector = {"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": []}]}
    return Spread(
        one["topologyKey"],
        one["maxSkew"],
        one["whenUnsatisfiable"] == "DoNotSchedule",
        (nothing if selector is None else selector,),
        one.get("minDomains") or 1,
        one.get("nodeAffinityPolicy", "Honor") == "Honor",
        one.get("nodeTaintsPolicy", "Ignore") == "Honor",
    )


def _equal(
    keys: Iterable[str] | None, labels: Labels, operator: Literal["In", "NotIn"]
) -> list[LabelSelectorRequirement]:
    """Pods that have the same, or not the same, of these labels as the pod itself."""
    return [
        {"key": key, "operator": operator, "values": [labels[key]]} for key in keys or () if key in labels
    ]


def _narrowed(selector: LabelSelector | None, added: list[LabelSelectorRequirement]) -> LabelSelector | None:
    if selector is None or not added:
        return selector
    return {**selector, "matchExpressions": [*(selector.get("matchExpressions") or ()), *added]}


def default_spread(view: Reader, pod: Pod) -> Iterator[Spread]:
    """Nothing where neither a service nor an owner selects the pod."""
    labels, selectors = labels_of(pod), list[LabelSelector]()
    merged: dict[str, str] = {}
    for service in view.list(SERVICE, pod["metadata"].get("namespace", "")):
        if matches_map(selector := service["spec"].get("selector"), labels):
            merged |= selector or {}
    if merged:
        selectors.append({"matchLabels": merged})
    owner = controller_of(pod)
    if owner is not None and owner["kind"] == REPLICA_SET.kind:
        found = view.get(REPLICA_SET, REPLICA_SET.key(pod["metadata"].get("namespace", ""), owner["name"]))
        if found is not None:
            selectors.append(found["spec"]["selector"])
    if selectors:
        yield from (Spread(key, skew, False, tuple(selectors)) for key, skew in DEFAULT_SPREAD)
