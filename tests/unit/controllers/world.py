"""A small world for tests of controllers, scheduler and runner: a real store, a real runner, a clock that is told.

Objects are written as a test states them, with what admission would have added; `settle` runs controllers until nothing
is due, `kubelet` is what nodes would do to pods.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar, cast

from gitops.kinds import registry
from gitops.kinds.apps import REPLICA_SET, Deployment, ReplicaSet
from gitops.kinds.core.event import EVENT
from gitops.kinds.core.namespace import Namespace
from gitops.kinds.core.node import Node
from gitops.kinds.core.pod import POD, Pod, is_terminal
from gitops.kinds.core.pod_admission import completed_pod
from gitops.kinds.core.service import Service
from gitops.kinds.errors import GitwardError
from gitops.kinds.keys import Key
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject, is_going, key_of, timestamp, uid
from gitops.reconcile import Controller
from gitops.runner import Decision, Runner
from gitops.store.contract import Committed, Delete, Put, Txn
from gitops.store.memory import MemoryStore
from gitops.view import View

NOW: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NAMESPACE_NAME: Final = "shop"
STEPS_MAX: Final = 5_000
O = TypeVar("O", bound=KubeObject)  # noqa: E741 # Any object.


class TestClock:
    """Time that passes only when told."""

    __test__ = False

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


class Counted:
    """A mint that counts."""

    def __init__(self) -> None:
        self.minted = 0

    def uid(self) -> str:
        self.minted += 1
        return f"00000000-0000-0000-0000-{self.minted:012}"

    def suffix(self) -> str:
        self.minted += 1
        return f"{self.minted:05}"


class World:
    """A store with the namespace `shop` and what a test puts there."""

    def __init__(self, *objects: KubeObject) -> None:
        self.clock = TestClock()
        self.mint = Counted()
        self.store = MemoryStore(self.clock.now)
        self.put(a_namespace(NAMESPACE_NAME), *objects)

    @property
    def view(self) -> View:
        return self.store.view()

    def put(self, *objects: KubeObject) -> None:
        """Write objects as they are."""
        self.store.commit_now(Txn(tuple(map(Put, objects)), actor="test", cause="test"))

    def remove(self, *keys: Key) -> None:
        self.store.commit_now(Txn(tuple(map(Delete, keys)), actor="test", cause="test"))

    def runner(self, *controllers: Controller) -> Runner:
        runner = Runner(self.store, controllers, self.clock, self.mint)
        self.store.subscribe(runner.published)
        return runner

    def commit(self, decision: Decision) -> Committed | GitwardError:
        try:
            return self.store.commit_now(decision.txn)
        except GitwardError as error:
            return error

    def settle(self, runner: Runner) -> int:
        """Carry out what is due until nothing is, without time passing. Returns the number of transactions."""
        for step in range(STEPS_MAX):
            decision = runner.step()
            if decision is not None:
                runner.settle(decision, self.commit(decision))
            elif runner.next_due() > self.clock.monotonic():
                return step
        raise AssertionError(f"not settled after {STEPS_MAX} steps")

    def wait(self, runner: Runner, seconds: float) -> None:
        """Let time pass, stopping at everything that becomes due."""
        end = self.clock.seconds + seconds
        while (due := runner.next_due()) <= end:
            self.clock.seconds = max(self.clock.seconds, due)
            self.settle(runner)
        self.clock.seconds = end

    def kubelet(self, *, ready: bool = True, obey: bool = True) -> None:
        """Every bound pod runs, and is Ready if told so; with `obey`, what is being deleted is gone."""
        for pod in list(self.view.list(POD)):
            if is_going(pod):
                if obey:
                    self.remove(key_of(pod))
            elif pod["spec"].get("nodeName") and not is_terminal(pod):
                self.put(running(pod, ready=ready, at=self.clock.now()))

    def ready(self, *pods: Pod) -> None:
        """These pods become Ready on their nodes."""
        if pods:
            self.put(*(running(pod, ready=True, at=self.clock.now()) for pod in pods))

    def read(self, kind: Kind[O], name: str, namespace: str = NAMESPACE_NAME) -> O:
        found = self.view.get(kind, kind.key(namespace, name))
        assert found is not None, f"no {kind.kind} {namespace}/{name}"
        return found

    def names(self, kind: Kind[Any]) -> list[str]:
        return [str(obj["metadata"].get("name")) for obj in self.view.list(kind)]

    def pods(self) -> list[Pod]:
        """Those that count: neither ended nor being deleted."""
        return [pod for pod in self.view.list(POD) if not is_going(pod) and not is_terminal(pod)]

    def events(self) -> list[str]:
        """`reason: message`, in the order of their names."""
        return [f"{one.get('reason')}: {one.get('message')}" for one in self.view.list(EVENT)]


def a_namespace(name: str) -> Namespace:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "uid": f"namespace-{name}"},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def a_pod(
    name: str,
    *,
    node: str = "node-a",
    phase: str = "Running",
    ready: bool = True,
    owner: KubeObject | None = None,
    labels: dict[str, str] | None = None,
    cpu: str = "",
    ip: str = "10.77.0.2",
    going: bool = False,
    **spec: object,
) -> Pod:
    """A pod of the template that `a_replica_set` has."""
    meta: dict[str, object] = {
        "name": name,
        "namespace": NAMESPACE_NAME,
        "uid": f"pod-{name}",
        "labels": {"app": "web"} if labels is None else labels,
        "creationTimestamp": timestamp(NOW),
    }
    if owner is not None:
        meta["ownerReferences"] = [reference(owner)]
    if going:
        meta |= {"deletionTimestamp": timestamp(NOW), "deletionGracePeriodSeconds": 30}
    stated = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta,
        "spec": {**_pod_spec(cpu), **({"nodeName": node} if node else {}), **spec},
    }
    pod = completed_pod(defaulted(cast(Pod, stated)))
    if not node:
        return pod
    conditions = [{"type": "Ready", "status": str(ready), "lastTransitionTime": timestamp(NOW)}]
    return cast(Pod, {**pod, "status": {"phase": phase, "podIP": ip, "conditions": conditions}})


def running(pod: Pod, *, ready: bool, at: datetime) -> Pod:
    """The pod as its node reports it."""
    conditions = [one for one in (pod.get("status") or {}).get("conditions") or () if one["type"] != "Ready"]
    told = {"type": "Ready", "status": str(ready), "lastTransitionTime": timestamp(at)}
    status = {"phase": "Running", "podIP": "10.77.0.9", "conditions": [*conditions, told]}
    return cast(Pod, {**pod, "status": status})


def a_replica_set(replicas: int = 1, name: str = "web", **spec: object) -> ReplicaSet:
    stated = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": _meta(name, "ReplicaSet"),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": _pod_spec("")},
            **spec,
        },
    }
    return defaulted(cast(ReplicaSet, stated))


def a_deployment(
    replicas: int = 1, name: str = "web", image: str = "shop/web:1", **spec: object
) -> Deployment:
    stated = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _meta(name, "Deployment"),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": _pod_spec("", image)},
            **spec,
        },
    }
    return defaulted(cast(Deployment, stated))


def with_spec(obj: O, **changes: object) -> O:
    """As a person changes it: another specification, a higher generation."""
    body = cast(dict[str, Any], obj)
    meta = {**body["metadata"], "generation": body["metadata"].get("generation", 0) + 1}
    return defaulted(cast(O, {**body, "metadata": meta, "spec": {**body["spec"], **changes}}))


def with_image(deployment: Deployment, image: str) -> Deployment:
    template = {"metadata": deployment["spec"]["template"]["metadata"], "spec": _pod_spec("", image)}
    return with_spec(deployment, template=template)


def a_node(
    name: str = "node-a",
    *,
    cpu: str = "4",
    pods: str = "110",
    ready: str = "True",
    labels: dict[str, str] | None = None,
    **spec: object,
) -> Node:
    return cast(
        Node,
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "uid": f"node-{name}", "labels": labels or {}, "generation": 1},
            "spec": spec,
            "status": {
                "allocatable": {"cpu": cpu, "memory": "8Gi", "pods": pods},
                "conditions": [{"type": "Ready", "status": ready}],
            },
        },
    )


def a_service(name: str = "web", *, target: int | str = 8080, **spec: object) -> Service:
    stated = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _meta(name, "Service"),
        "spec": {
            "selector": {"app": "web"},
            "clusterIP": "10.78.0.20",
            "ports": [{"name": "http", "port": 80, "targetPort": target}],
            **spec,
        },
    }
    return defaulted(cast(Service, stated))


def defaulted(obj: O) -> O:
    kind = registry.find(key_of(obj).group, obj["kind"])
    assert kind is not None
    return cast(O, kind.defaults(obj))


def reference(owner: KubeObject) -> dict[str, object]:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"].get("name"),
        "uid": uid(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def sizes(world: World) -> dict[str, int]:
    """Image -> pods that its ReplicaSet shall have."""
    return {image_of(one): one["spec"]["replicas"] for one in world.view.list(REPLICA_SET)}


def image_of(obj: ReplicaSet | Deployment) -> str:
    return obj["spec"]["template"]["spec"]["containers"][0]["image"]


def _meta(name: str, kind: str) -> dict[str, object]:
    return {
        "name": name,
        "namespace": NAMESPACE_NAME,
        "uid": f"{kind.lower()}-{name}",
        "generation": 1,
        "creationTimestamp": timestamp(NOW),
    }


def _pod_spec(cpu: str, image: str = "shop/web:1") -> dict[str, object]:
    container: dict[str, object] = {"name": "web", "image": image}
    if cpu:
        container["resources"] = {"requests": {"cpu": cpu}}
    return {"containers": [container]}
