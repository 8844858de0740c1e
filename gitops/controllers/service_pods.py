"""Which pods each Service selects, and what endpoints need to know of them: followed, not listed for each change.

A cache and nothing more: what it says is what selecting the view's pods would say. A pod's change costs a few look-ups,
however many Services there are, and its Service is told of 10,000 pods without opening one of them.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

from gitops.kinds.core.pod import POD, Pod, is_ready, is_sidecar, is_terminal, pod_condition, pod_status
from gitops.kinds.core.service import SERVICE, Service
from gitops.kinds.keys import Key
from gitops.kinds.objects import is_going, key_of, labels_of, uid
from gitops.reconcile import Reader

NamedPorts = tuple[tuple[str, str, int], ...]  # Name, protocol, number.
Selector = tuple[tuple[str, str], ...]  # Sorted, not empty.


class Member(NamedTuple):
    """A pod that has an address and has not ended. `since`: when it became ready, or not; '' if nobody said."""

    uid: str
    name: str
    address: str
    node: str
    ready: bool
    going: bool
    since: str
    hostname: str
    subdomain: str
    ports: NamedPorts


class ServicePods:
    """Members of Services, by the view that it follows."""

    def __init__(self) -> None:
        self._mark = -1
        self._selectors: dict[Key, Selector] = {}
        # One pair of each selector: namespace, label, value -> the Services that may be meant.
        self._by_pair: dict[tuple[str, str, str], set[Key]] = {}
        self._members: dict[Key, dict[Key, Member]] = {}
        self._services: dict[Key, tuple[Key, ...]] = {}  # Of each member.
        self._ports: dict[NamedPorts, NamedPorts] = {}  # Equal ones are one.

    def of(self, service: Key) -> Iterable[Member]:
        return self._members.get(service, {}).values()

    def selecting(self, namespace: str, labels: Mapping[str, str]) -> list[Key]:
        """The Services that select a pod with these labels."""
        return [
            service
            for pair in labels.items()
            for service in self._by_pair.get((namespace, *pair), ())
            if all(labels.get(name) == value for name, value in self._selectors[service])
        ]

    def follow(self, view: Reader) -> None:
        """Take in what the view was touched in since the last time."""
        self._mark, keys = view.touched(self._mark)
        if keys is None:
            for one in (self._selectors, self._by_pair, self._members, self._services, self._ports):
                one.clear()
            for service in view.list(SERVICE):
                self._select(key_of(service), _selector(service))
            for pod in view.list(POD):
                self._take_pod(key_of(pod), pod)
            return
        touched = dict.fromkeys(key for key in keys if not key.group)
        for key in touched:
            if key.kind == SERVICE.kind:
                self._take_service(view, key)
        for key in touched:
            if key.kind == POD.kind:
                self._take_pod(key, view.get(POD, key))

    def _take_service(self, view: Reader, key: Key) -> None:
        service = view.get(SERVICE, key)
        selector = _selector(service) if service is not None else ()
        if selector == self._selectors.get(key, ()):
            return
        for member in self._members.pop(key, {}):
            self._services[member] = tuple(one for one in self._services[member] if one != key)
            if not self._services[member]:
                del self._services[member]
        self._select(key, selector)
        if selector:
            for pod in view.select(POD, key.namespace, {"matchLabels": dict(selector)}):
                self._take_pod(key_of(pod), pod)

    def _select(self, key: Key, selector: Selector) -> None:
        if old := self._selectors.pop(key, ()):
            pair = (key.namespace, *old[0])
            self._by_pair[pair].discard(key)
            if not self._by_pair[pair]:
                del self._by_pair[pair]
        if selector:
            self._selectors[key] = selector
            self._by_pair.setdefault((key.namespace, *selector[0]), set()).add(key)

    def _take_pod(self, key: Key, pod: Pod | None) -> None:
        services = tuple(self.selecting(key.namespace, labels_of(pod))) if pod is not None else ()
        member = self._member(pod) if pod is not None and services else None
        services = services if member is not None else ()
        before = self._services.pop(key, ())
        for service in before:
            if service not in services:
                del self._members[service][key]
                if not self._members[service]:
                    del self._members[service]
        if member is not None:
            self._services[key] = services
            for service in services:
                self._members.setdefault(service, {})[key] = member

    def _member(self, pod: Pod) -> Member | None:
        """None: it has ended, or has no address yet."""
        address = pod_status(pod).get("podIP")
        if not address or is_terminal(pod):
            return None
        spec, ready = pod["spec"], pod_condition(pod, "Ready")
        ports = _named_ports(pod)
        return Member(
            uid(pod), pod["metadata"].get("name", ""), address, spec.get("nodeName", ""), is_ready(pod), is_going(pod),
            ready.get("lastTransitionTime", "") if ready else "", spec.get("hostname", ""), spec.get("subdomain", ""),
            self._ports.setdefault(ports, ports),
        )  # fmt: skip


_followed: Final[WeakKeyDictionary[object, ServicePods]] = WeakKeyDictionary()


def service_pods(view: Reader) -> ServicePods:
    """What the view holds now."""
    found = _followed.get(view)
    if found is None:
        found = _followed[view] = ServicePods()
    found.follow(view)
    return found


def _selector(service: Service) -> Selector:
    return tuple(sorted((service["spec"].get("selector") or {}).items()))


def _named_ports(pod: Pod) -> NamedPorts:
    return tuple(_of_containers(pod))


def _of_containers(pod: Pod) -> Iterator[tuple[str, str, int]]:
    """Of the app's containers first, then of sidecars."""
    sidecars = [one for one in pod["spec"].get("initContainers") or () if is_sidecar(one)]
    for container in (*pod["spec"]["containers"], *sidecars):
        for port in container.get("ports") or ():
            if name := port.get("name"):
                yield name, port["protocol"], port["containerPort"]
