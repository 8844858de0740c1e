"""What an agent's actions do to the containers of a hollow node, and whether they should.

The engine is the fake one: a dict that survives the agent.
"""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from agent.pods.observed import Run, Stop
from agent.runtime.fake import FakeRuntime
from agent.runtime.protocol import (
    LABEL_ADDRESS,
    LABEL_BACK_OFF,
    SANDBOX,
    ContainerSpec,
    ContainerState,
    Phase,
    SandboxSpec,
)
from agent.simulated import SimulatedNetwork
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import Pod, is_terminal
from gitops.kinds.errors import Unavailable
from gitops.kinds.objects import is_going, key_of, uid
from gitops.simulator.history import Broken
from gitops.view import View

R = TypeVar("R")


class Engine:
    """Containers and volumes of one node. `view`: the truth, by which stops are judged."""

    def __init__(self, node: str, runtime: FakeRuntime, view: Callable[[], View]) -> None:
        self._node, self.runtime, self._view = node, runtime, view
        self.volumes: set[str] = set()
        self._network: SimulatedNetwork | None = None

    def states(self, pod_uid: str = "") -> list[ContainerState]:
        return _now(self.runtime.states(pod_uid))

    def sandbox(self, pod_uid: str) -> ContainerState | None:
        return next((one for one in self.states(pod_uid) if one.container == SANDBOX), None)

    def ensure_sandbox(self, pod: Pod, address: str) -> str:
        """Its address."""
        meta = pod["metadata"]
        labels = {LABEL_ADDRESS: address or self._pick_address()}
        name = meta.get("name", "")
        spec = SandboxSpec(uid(pod), name, meta.get("namespace", ""), name, labels=labels)
        return _now(self.runtime.ensure_sandbox(spec)).labels[LABEL_ADDRESS]

    def run(self, pod: Pod, action: Run) -> None:
        """Raises Broken if the container runs already."""
        container = next(one for one in pod["spec"]["containers"] if one["name"] == action.container)
        beside = [one.id for one in self.states(uid(pod)) if one.container == action.container and one.pid]
        if beside:
            raise Broken(f"{self._node} starts {action} of {key_of(pod)} beside {beside[0]}, which runs")
        meta = pod["metadata"]
        spec = ContainerSpec(
            uid(pod), meta.get("name", ""), meta.get("namespace", ""), action.container, action.attempt,
            container["image"], labels={LABEL_BACK_OFF: str(action.back_off_seconds)},
        )  # fmt: skip
        _now(self.runtime.start(_now(self.runtime.ensure_container(spec))))

    def check_stop(self, pod_uid: str, action: Stop) -> None:
        """Raises Broken: nothing is stopped or restarted without a cause that everyone can see when it is decided."""
        pod = cast("Pod | None", self._view().by_uid(pod_uid))
        sandbox = self.sandbox(pod_uid)
        lost = sandbox is None or sandbox.phase is not Phase.RUNNING
        if pod is not None and not is_going(pod) and not is_terminal(pod) and not lost:
            raise Broken(
                f"{self._node} stops {action.container} of {key_of(pod)} without a cause: {action.why}"
            )

    def stop(self, action: Stop) -> None:
        _now(self.runtime.stop(action.container_id, grace_seconds=action.grace_seconds))

    def remove(self, container_id: str) -> None:
        _now(self.runtime.remove(container_id))

    def tear_down(self, pod_uid: str) -> None:
        if (sandbox := self.sandbox(pod_uid)) is not None:
            self.remove(sandbox.id)
        self.volumes.discard(pod_uid)

    def _pick_address(self) -> str:
        """Raises Unavailable while the master has given the node no range."""
        if self._network is None:
            node = self._view().get(NODE, NODE.key("", self._node))
            if node is None or not node["spec"].get("podCIDR"):
                raise Unavailable("the node has no range of addresses yet")
            self._network = SimulatedNetwork(node["spec"]["podCIDR"])
        used = [one.labels.get(LABEL_ADDRESS, "") for one in self.states() if one.container == SANDBOX]
        return self._network.pick_address(used)


def _now(asked: Coroutine[Any, Any, R]) -> R:
    """What the fake engine answers: it waits for nothing, so one step is all of it."""
    try:
        asked.send(None)
    except StopIteration as answer:
        return cast(R, answer.value)
    raise AssertionError("the fake engine waited")
