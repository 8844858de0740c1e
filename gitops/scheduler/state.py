"""The nodes and what their pods take, kept up to date by what a view was touched in, instead of counted for each pod.

A cache and nothing more: `state_of` gives what counting everything in the view would give. Decisions of one round book
what they give away and take it back at its end; what became of them comes back through the view.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final, NamedTuple, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

from gitops.kinds.core.amounts import PODS, Amounts, amount_of
from gitops.kinds.core.namespace import NAMESPACE
from gitops.kinds.core.node import NODE, Node, Taint
from gitops.kinds.core.pod import POD, Pod, is_terminal, pod_status
from gitops.kinds.keys import Key
from gitops.kinds.objects import is_going, labels_of, uid
from gitops.reconcile import Reader
from gitops.scheduler.nodes import taints_of
from gitops.scheduler.template import (
    Labels,
    Port,
    Spread,
    Template,
    Term,
    class_key,
    compile_template,
    default_spread,
)
from gitops.scheduler.volumes import Volumes

LOG_MAX: Final = 4_096  # Rows touched that verdicts may catch up on; those further back start anew.
VERDICTS_MAX: Final = 256  # Templates whose verdicts are kept: 100 bytes for each node.
MATCHING_MAX: Final = 1_024  # Selectors whose groups are remembered.
DIGEST_BYTES: Final = 8

C = TypeVar("C")
Group = tuple[str, frozenset[tuple[str, str]]]  # Namespace and labels: pods that no rule can tell apart.


class Refusal(NamedTuple):
    """Why not on a node. `curable`: pods that leave it may help."""

    reasons: tuple[str, ...]
    curable: bool


class Placed(NamedTuple):
    """A pod on a node, or one that has a node reserved for it."""

    key: Key
    uid: str
    node: str
    template: Template
    group: Group
    going: bool
    started: str  # RFC 3339.


@dataclass(slots=True, eq=False)
class Row:
    """A node and the sums over its pods. Only `State` changes it."""

    name: str
    allocatable: Amounts
    taints: tuple[Taint, ...]
    unschedulable: bool
    labels: Labels
    images: Mapping[str, int]
    rank: int = 0  # Its place in the order that ends all ties.
    used: dict[str, int] = field(default_factory=lambda: {PODS: 0})
    scored_cpu: int = 0
    scored_memory: int = 0
    pods: dict[Key, Placed] = field(default_factory=dict)
    ports: Counter[Port] = field(default_factory=Counter)


@dataclass(slots=True)
class Verdict:
    """What was found out about a template, row by row (see `choice.py`).

    Attributes:
        at: how far the log was read.
        fixed: refusals that no pod that leaves can change.
        keys: what the best row is chosen by; -1: the pod does not fit.
        shunned, preferred: raw scores that depend on the node alone; None: all are 0.
    """

    at: int
    fixed: list[Refusal | None]
    keys: list[int]
    shunned: list[int] | None
    preferred: list[int] | None


class State:
    """Attributes:
    rows: by name; `order`: by rank.
    groups, live: pods by group and node; `live` without those that are being deleted.
    repelled: by required anti-affinity term, how many of its owners each node has.
    drawn: the same for what owners wish: (weight, term).
    nominated: pods that wait for their victims to leave; `constrained`: waiting pods that a new neighbour may help.
    log: ranks of rows in the order touched; `verdicts` remember how far they have read.
    """

    def __init__(self) -> None:
        self.volumes = Volumes()
        self.rows: dict[str, Row] = {}
        self.order: list[Row] = []
        self.placed: dict[Key, Placed] = {}
        self.groups: dict[Group, Counter[str]] = {}
        self.live: dict[Group, Counter[str]] = {}
        self.repelled: dict[Term, Counter[str]] = {}
        self.drawn: dict[tuple[int, Term], Counter[str]] = {}
        self.nominated: dict[Key, Placed] = {}
        self.constrained: dict[Key, None] = {}
        self.namespaces: dict[str, Labels] = {}
        self.images: Counter[str] = Counter()
        self.values: dict[
            str, list[str | None]
        ] = {}  # Label of nodes -> its values, by rank; see `values_of`.
        self.log: list[int] = []
        self.logged = 0  # Rows touched in all: the log's end.
        self.verdicts: OrderedDict[Template, Verdict] = OrderedDict()
        self.version = 0  # Raised by whatever may change an answer.
        self._templates: WeakValueDictionary[bytes, Template] = WeakValueDictionary()
        self._matching: dict[object, tuple[int, list[Group]]] = {}
        self._group_changes = 0
        self._mark = -1

    # Following the view.

    def follow(self, view: Reader) -> None:
        """Take in what the view was touched in since the last time."""
        self._mark, keys = view.touched(self._mark)
        if keys is None:
            self.__init__()  # type: ignore[misc] # Everything anew.
            self._mark, _ = view.touched(-1)
            self.volumes.take_all(view)
            for namespace in view.list(NAMESPACE):
                self._take_namespace(view, NAMESPACE.key("", namespace["metadata"].get("name", "")))
            self._take_nodes(view)
            for pod in view.list(POD):
                self._take_pod(
                    view, POD.key(pod["metadata"].get("namespace", ""), pod["metadata"].get("name", ""))
                )
            return
        nodes = False
        for key in dict.fromkeys(keys):
            self.version += self.volumes.take(view, key)
            if key.group:
                continue
            if key.kind == "Pod":
                self._take_pod(view, key)
            elif key.kind == "Node":
                nodes = self._take_node(view, key) or nodes
            elif key.kind == "Namespace":
                self._take_namespace(view, key)
            elif key.kind == "Service":
                self._forget_templates()  # Pods are spread by the services that select them.
        if nodes:
            self._take_nodes(view)

    def _take_namespace(self, view: Reader, key: Key) -> None:
        found = view.get(NAMESPACE, key)
        labels = labels_of(found) if found else {}
        if self.namespaces.get(key.name, {}) != labels:
            self.namespaces[key.name] = dict(labels)
            self._matching.clear()
            self.version += 1

    def _take_node(self, view: Reader, key: Key) -> bool:
        """Whether something about it that scheduling looks at is new."""
        node, old = view.get(NODE, key), self.rows.get(key.name)
        if node is None or is_going(node) or old is None:
            return (node is not None and not is_going(node)) != (old is not None)
        new = _row(node)
        return (new.allocatable, new.taints, new.unschedulable, new.labels, new.images) != (
            old.allocatable, old.taints, old.unschedulable, old.labels, old.images)  # fmt: skip

    def _take_nodes(self, view: Reader) -> None:
        """All nodes anew: rare, and what was found out about templates depends on the set of them."""
        rows = {row.name: row for row in map(_row, (one for one in view.list(NODE) if not is_going(one)))}
        self.rows = rows
        self.order = sorted(rows.values(), key=lambda row: _shuffle(row.name))
        for rank, row in enumerate(self.order):
            row.rank = rank
        self.values.clear()
        self.images = Counter(name for row in self.order for name in row.images)
        placed, self.placed = self.placed, {}
        self.volumes.users.clear()
        self.groups, self.live, self.repelled, self.drawn = {}, {}, {}, {}
        self._group_changes += 1
        for one in placed.values():
            self.book(one)
        self.verdicts.clear()
        self.version += 1

    def _take_pod(self, view: Reader, key: Key) -> None:
        pod, old = view.get(POD, key), self.placed.get(key)
        node = pod["spec"].get("nodeName", "") if pod else ""
        if pod is None or is_terminal(pod) or not node:
            if old is not None:
                self.unbook(old)
            self._take_waiting(view, key, pod)
            return
        known = (old.uid, old.node, old.going) if old else None
        if old and known == (uid(pod), node, is_going(pod)) and old.template.labels == labels_of(pod):
            return  # Most changes of a pod are of its status.
        if old is not None:
            self.unbook(old)
        self._take_waiting(view, key, None)
        self.book(self.placed_as(view, key, pod, node))

    def _take_waiting(self, view: Reader, key: Key, pod: Pod | None) -> None:
        self.constrained.pop(key, None)
        if self.nominated.pop(key, None) is not None:
            self.version += 1
        if pod is None or is_terminal(pod) or is_going(pod):
            return
        if node := pod_status(pod).get("nominatedNodeName"):
            self.nominated[key] = self.placed_as(view, key, pod, node)
            self.version += 1
        affinity = pod["spec"].get("affinity") or {}
        if "podAffinity" in affinity or pod["spec"].get("topologySpreadConstraints"):
            self.constrained[key] = None

    # Booking.

    def placed_as(self, view: Reader, key: Key, pod: Pod, node: str) -> Placed:
        template = self.template_of(view, pod)
        group = (template.namespace, frozenset(template.labels.items()))
        started = pod_status(pod).get("startTime") or pod["metadata"].get("creationTimestamp", "")
        return Placed(key, uid(pod), node, template, group, is_going(pod), started)

    def book(self, one: Placed) -> None:
        self.placed[one.key] = one
        row = self.rows.get(one.node)
        if row is not None:
            row.pods[one.key] = one
        self._count(one, row, 1)

    def unbook(self, one: Placed) -> None:
        """The inverse of `book`."""
        del self.placed[one.key]
        row = self.rows.get(one.node)
        if row is not None:
            del row.pods[one.key]
        self._count(one, row, -1)

    def _count(self, one: Placed, row: Row | None, sign: int) -> None:
        self.version += 1
        template = one.template
        if row is not None:
            used = row.used
            for name, amount in template.requests.items():
                used[name] = used.get(name, 0) + sign * amount
            used[PODS] += sign
            row.scored_cpu += sign * template.scored[0]
            row.scored_memory += sign * template.scored[1]
            for port in template.ports:
                row.ports[port] += sign
                if not row.ports[port]:
                    del row.ports[port]
            self.log.append(row.rank)
            self.logged += 1
            if len(self.log) > LOG_MAX:
                del self.log[: LOG_MAX // 2]
        for claim in template.claims:
            self.volumes.use(template.namespace, claim, sign)
        known = len(self.groups)
        _add(self.groups, one.group, one.node, sign)
        if len(self.groups) != known:
            self._group_changes += 1
        if not one.going:
            _add(self.live, one.group, one.node, sign)
        for term in template.far:
            _add(self.repelled, term, one.node, sign)
        for term in template.near:
            _add(self.drawn, (1, term), one.node, sign)
        for weight, term in template.liked:
            _add(self.drawn, (weight, term), one.node, sign)

    # Templates and groups.

    def template_of(self, view: Reader, pod: Pod) -> Template:
        key = class_key(pod)
        found = self._templates.get(key)
        if found is None:
            own = pod["spec"].get("topologySpreadConstraints")
            found = compile_template(pod, () if own else tuple(default_spread(view, pod)))
            self._templates[key] = found
        return found

    def _forget_templates(self) -> None:
        self._templates.clear()
        self.verdicts.clear()
        self.version += 1

    def matching(self, term: Term) -> list[Group]:
        """The groups of pods that a term is about."""
        return self._select(
            term.identity, lambda group: term.wants(group[0], dict(group[1]), self.namespaces)
        )

    def values_of(self, topology: str) -> list[str | None]:
        """A label of the nodes, by rank."""
        found = self.values.get(topology)
        if found is None:
            found = self.values[topology] = [row.labels.get(topology) for row in self.order]
        return found

    def spread_over(self, template: Template, one: Spread) -> list[Counter[str]]:
        """What a constraint counts: by group, pods on each node, without those that are being deleted."""
        groups = self._select(
            (template, one.topology, one.hard),
            lambda group: group[0] == template.namespace and one.counts(dict(group[1])),
        )
        return [self.live[group] for group in groups if group in self.live]

    def _select(self, what: object, wanted: Callable[[Group], bool]) -> list[Group]:
        """The groups that are wanted; remembered until there are others."""
        known = self._matching.get(what)
        if known is None or known[0] != self._group_changes:
            if len(self._matching) >= MATCHING_MAX:
                self._matching.clear()
            known = self._matching[what] = (self._group_changes, [one for one in self.groups if wanted(one)])
        return known[1]


_states: Final[WeakKeyDictionary[object, State]] = WeakKeyDictionary()


def state_of(view: Reader) -> State:
    """What the view holds now. The same object as long as the view lives."""
    state = _states.get(view)
    if state is None:
        state = _states[view] = State()
    state.follow(view)
    return state


def constrained(view: Reader) -> tuple[Key, ...]:
    """Waiting pods that a neighbour may help, as of the last round: what came since then is decided anyway."""
    state = _states.get(view)
    return tuple(state.constrained) if state is not None and state.constrained else ()


def _row(node: Node) -> Row:
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    images = {
        name: one.get("sizeBytes", 0)
        for one in (node.get("status") or {}).get("images") or ()
        for name in one.get("names") or ()
    }
    return Row(
        node["metadata"].get("name", ""),
        {name: amount_of(name, text) for name, text in allocatable.items()},
        taints_of(node),
        bool(node["spec"].get("unschedulable")),
        dict(labels_of(node)),
        images,
    )


def _add(counts: dict[C, Counter[str]], what: C, node: str, sign: int) -> None:
    """Counted up or down; what comes to nothing is forgotten."""
    nodes = counts.get(what)
    if nodes is None:
        nodes = counts[what] = Counter()
    nodes[node] += sign
    if not nodes[node]:
        del nodes[node]
        if not nodes:
            del counts[what]


def _shuffle(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=DIGEST_BYTES).digest()
