"""The probes of one pod: a prober for each start of a container that has any, and their verdicts."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

from agent.pods.container_status import known_status
from agent.pods.means import Means
from agent.pods.observed import Verdict
from agent.pods.restarting import every_container
from agent.probes.checks import Target
from agent.probes.prober import FIELDS, Known, Prober, Result
from agent.runtime.protocol import ContainerState, Phase
from gitops.kinds.core.pod import Pod
from gitops.kinds.objects import annotations_of

log = logging.getLogger(__name__)


class Probing:
    """`changed` is called at each new verdict."""

    def __init__(self, means: Means, changed: Callable[[], None]) -> None:
        self._means, self._changed = means, changed
        self._tasks: dict[str, tuple[str, asyncio.Task[None]]] = {}
        self._verdicts: dict[str, Verdict] = {}

    def verdicts(self) -> Mapping[str, Verdict]:
        return dict(self._verdicts)

    def only(
        self, pod: Pod | None, names: Iterable[str], states: Iterable[ContainerState], address: str
    ) -> None:
        """From now on the probes of exactly these containers run, each for its present start."""
        wanted = set(names)
        running = {state.container: state for state in states if state.phase is Phase.RUNNING}
        for name, (container_id, task) in list(self._tasks.items()):
            if name not in wanted or name not in running or running[name].id != container_id:
                task.cancel()
                del self._tasks[name]
        for name in wanted - set(self._tasks):
            if pod is not None and name in running:
                self._begin(pod, name, running[name], address)

    def stop(self) -> None:
        for _, task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    def _begin(self, pod: Pod, name: str, state: ContainerState, address: str) -> None:
        container = next(one for one in every_container(pod) if one["name"] == name)
        if not any(field in container for field in FIELDS.values()):
            return
        now = self._means.clock()
        started = state.started_at or now
        known = _known(pod, name, state, (now - started).total_seconds())
        prober = Prober(
            self._means.checks,
            container,
            Target(state.id, address, started, annotations_of(pod)),
            known=known,
            tell=lambda result: self._told(name, state.id, result),
            complain=lambda message: self._means.api.event(pod, "Warning", "Unhealthy", message, name),
            sleep=self._means.sleep,
        )
        self._tasks[name] = (state.id, self._means.group.create_task(_guarded(prober)))

    def _told(self, name: str, container_id: str, result: Result) -> None:
        self._verdicts[name] = Verdict(
            container_id, result.started, bool(result.ready), result.unhealthy, result.grace_seconds
        )
        self._changed()


def _known(pod: Pod, name: str, state: ContainerState, age_seconds: float) -> Known:
    """What the API says of this very start."""
    told = known_status(pod, name)
    if told is not None and told.get("containerID", "").endswith(state.id):
        return Known(told.get("started", False), told["ready"], age_seconds)
    return Known()


async def _guarded(prober: Prober) -> None:
    try:
        await prober.run()
    except Exception:  # The top of a prober: its container keeps its last verdict.
        log.exception("prober failed")
