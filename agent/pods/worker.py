"""One task for each pod: sees what is, asks the machine, carries out what it says; again whenever something changes.

Effects run beside each other and beside the loop, so a pod whose engine call hangs still hears of its deletion, and
delays no other pod.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from time import monotonic
from typing import Final, cast

from agent.pods import effects
from agent.pods.back_offs import BackOffs
from agent.pods.machine import step
from agent.pods.means import Means
from agent.pods.messages import Messages
from agent.pods.observed import (
    Action,
    Actions,
    DeleteFromApi,
    EnsureSandbox,
    EnsureVolumes,
    PodObserved,
    Remove,
    Resize,
    Run,
    Stop,
    TearDown,
    Trouble,
    Withdraw,
    is_news,
    overrides,
    place_of,
    subject_of,
)
from agent.pods.probing import Probing
from agent.pods.refused import Refused
from agent.pods.rejection import Rejection
from agent.pods.reporter import Reporter
from agent.pods.resizing import resizing
from agent.pods.simulation import simulated
from agent.runtime.protocol import LABEL_ADDRESS, SANDBOX, ContainerState, Phase
from agent.volumes.references import references
from gitops.kinds.core.pod import Pod, is_terminal, pod_status
from gitops.kinds.errors import GitwardError
from gitops.kinds.objects import is_going

log = logging.getLogger(__name__)

ENGINE_RETRY_SECONDS: Final = 1.0
REPEAT_SECONDS: Final = 0.5  # The same action is not repeated sooner, however quickly it ended.
# They have an event in full.
IMAGE_TROUBLES: Final = ("ErrImagePull", "ErrImageNeverPull", "InvalidImageName")
FAULT_SECONDS: Final = 5.0  # After an error of our own, before the pod is looked at again.


class PodWorker:
    """The pod of one uid on this node, until nothing of it is left."""

    def __init__(self, means: Means, pod_uid: str) -> None:
        self._means, self._uid = means, pod_uid
        self._pod: Pod | None = None
        self._last: Pod | None = (
            None  # As last known: one that is gone from the API is ended by its own rules.
        )
        self._states: tuple[ContainerState, ...] = ()
        self._stale, self._changed_at = True, monotonic()
        self._address, self._volumes_ready, self._withdrawn, self._adopted = "", False, False, False
        self._wired = False
        self._content_stale = False
        self._evicted, self._evicted_grace_seconds = "", 0.0
        self._judged, self._rejected = False, cast(Rejection | None, None)
        self._trouble: dict[str, Trouble] = {}
        self._busy: dict[object, tuple[Action, asyncio.Task[None]]] = {}
        self._ended: dict[Action, float] = {}
        self._wake = asyncio.Event()
        self._reporter = Reporter(means.api, self.update)
        self._probing = Probing(means, self._wake.set)
        self._messages = Messages(means)
        self._back_offs = BackOffs()

    # What the node tells.

    def update(self, pod: Pod | None) -> None:
        """The pod as the API has it; None: gone. An older one than known is passed over."""
        before = self._pod
        if pod is not None and self._means.simulated:
            pod = simulated(pod)
        if pod is not None and before is not None and _revision(pod) < _revision(before):
            return
        self._pod, self._last = pod, pod or self._last
        if pod is not None:
            self._means.admission.note(pod)
            self._means.sources.use(self._uid, references(pod), self._means.group)
            if before is not None and _told_to_files(pod) != _told_to_files(before):
                self.content_changed()
        self._wake.set()

    def observe(self, states: Iterable[ContainerState], seen_at: float) -> None:
        """A list of this pod's containers that was asked for at `seen_at` (monotonic). One from before our own last
        change is passed over: what that has led to is known, and the next list comes soon."""
        if seen_at < self._changed_at:
            return
        found = tuple(states)
        if found != self._states or self._stale:
            self._states, self._stale = found, False
            self._wake.set()

    def hint(self) -> None:
        """Something may have changed: the engine is asked."""
        self._stale = True
        self._wake.set()

    def happened(self, container_id: str) -> None:
        """The engine tells of a container."""
        if is_news(container_id, self._states, (action for action, _ in self._busy.values())):
            self.hint()

    def content_changed(self) -> None:
        """A ConfigMap, Secret or label that it uses has changed: its files are renewed, what waited tries again."""
        for name in [name for name in self._trouble if name != SANDBOX]:
            del self._trouble[name]
        self._content_stale = True
        self._wake.set()

    def evict(self, why: str, grace_seconds: float = 0) -> None:
        """The node ends this pod: it fails, and its controller makes another one. Told once."""
        if self._pod is None or self._evicted or self._is_ending():
            return
        self._evicted, self._evicted_grace_seconds = why, grace_seconds
        self._means.api.event(self._pod, "Warning", "Evicted", why)
        self._wake.set()

    @property
    def pod(self) -> Pod | None:
        return self._last

    @property
    def states(self) -> tuple[ContainerState, ...]:
        return self._states

    # The loop.

    async def run(self) -> None:
        """Until the pod is gone and nothing of it is left. Cancelled: what runs is left running."""
        async with asyncio.TaskGroup() as group:
            reporting = group.create_task(self._reporter.run())
            try:
                while not await self._round():
                    pass
            finally:
                reporting.cancel()
                self._probing.stop()
                for _, task in self._busy.values():
                    task.cancel()
                self._means.sources.release(self._uid)
                self._means.admission.forget(self._uid)

    async def _round(self) -> bool:
        """One look and what follows from it; true when there is nothing left to do for ever."""
        self._wake.clear()
        try:
            if not await self._look():
                return False
            actions = self._decide()
            if self._pod is None and not actions.do and not self._busy:
                return True
            await self._wait(actions)
        except Exception:  # The top of the pod's loop: an error of ours must not stop its care for good.
            log.exception("pod step failed", extra={"fields": {"pod": self._uid}})
            await self._means.sleep(FAULT_SECONDS)
        return False

    async def _look(self) -> bool:
        """Asks the engine where what is known may be old; false if it does not answer."""
        if self._stale:
            self._stale, asked_at = False, monotonic()
            try:
                found = tuple(await self._means.runtime.states(self._uid))
            except GitwardError as error:
                log.debug("engine does not answer", extra={"fields": {"pod": self._uid, "error": str(error)}})
                self._stale = True
                await self._means.sleep(ENGINE_RETRY_SECONDS)
                return False
            if asked_at < self._changed_at:
                self._stale = True  # Something ended meanwhile, and this list may be from before.
                return False
            self._states = found
        if not self._adopted:
            self._adopted = True
            await self._adopt()
        if self._pod is not None:
            await self._messages.read(self._pod, self._states)
        return True

    async def _adopt(self) -> None:
        """What an earlier agent has made is taken as it is; what it may have left half done is done again."""
        sandbox = next((state for state in self._states if state.container == SANDBOX), None)
        if sandbox is None or sandbox.phase is not Phase.RUNNING:
            return
        self._address = sandbox.labels.get(LABEL_ADDRESS, "")
        # Or nothing was made in it.
        self._wired = any(state.sandbox_id == sandbox.id for state in self._states)
        if self._address:
            self._means.addresses.known(self._uid, self._address)
        if self._pod is not None and not is_going(self._pod):
            self._volumes_ready = self._content_stale = self._means.volumes.has(self._uid)
            self._launch(EnsureSandbox())

    def observed(self) -> PodObserved:
        on_host = self._last is not None and self._last["spec"].get("hostNetwork", False)
        observed = PodObserved(
            containers=self._states,
            address=self._address,
            wired=self._wired,
            node_address=self._means.node.address,
            volumes_ready=self._means.volumes.has(self._uid) if self._is_ending() else self._volumes_ready,
            trouble=dict(self._trouble),
            verdicts=self._probing.verdicts(),
            withdrawn=self._withdrawn or on_host,
            starting=frozenset(one.container for one, _ in self._busy.values() if isinstance(one, Run)),
            messages=self._messages.known(),
            allocatable=self._means.node.allocatable,
            evicted=self._evicted,
            evicted_grace_seconds=self._evicted_grace_seconds,
            rejected=self._rejected,
            unsafe_sysctls=self._means.node.unsafe_sysctls,
            offline=self._reporter.offline,
        )
        if self._pod is None or not resizing(self._pod, observed):
            return observed
        return replace(observed, others=self._means.admission.others(self._uid))

    def _is_ending(self) -> bool:
        return self._pod is None or is_going(self._pod) or is_terminal(self._pod)

    def _judge(self) -> None:
        """Once, of a pod that is new to this node: whether it has room for it."""
        pod, self._judged = self._pod, True
        if pod is None or self._states or self._is_ending() or "startTime" in pod_status(pod):
            return
        self._rejected = self._means.admission.admit(pod)
        if self._rejected is not None:
            self._means.api.event(pod, "Warning", self._rejected.reason, self._rejected.message)

    def _decide(self) -> Actions:
        if not self._judged:
            self._judge()
        actions = step(self._pod, self.observed(), self._means.clock())
        if self._pod is not None and actions.status is not None:
            self._reporter.want(self._pod, actions.status)
            for one in self._back_offs.begun(self._pod, actions.status):
                self._means.api.event(self._pod, one.kind, one.reason, one.message, one.container)
        self._probing.only(self._pod, actions.probe, self._states, self._address)
        if actions.gives_up:
            self._give_up()
        for action in actions.do:
            self._launch(action)
        if self._content_stale and self._volumes_ready and not self._is_ending():
            # Not an action of the machine: an outdated file keeps nothing from running.
            self._content_stale = not self._launch(EnsureVolumes(), again=True)
        return actions

    async def _wait(self, actions: Actions) -> None:
        """Until something changes or the machine's time has come."""
        seconds = None
        if actions.wake_at is not None:
            seconds = max((actions.wake_at - self._means.clock()).total_seconds(), 0.01)
        if any(action in self._ended for action in actions.do):
            seconds = min(seconds or REPEAT_SECONDS, REPEAT_SECONDS)
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    # Effects.

    def _give_up(self) -> None:
        """What is being started; what runs already is stopped in its turn."""
        running = {state.container for state in self._states if state.phase is Phase.RUNNING}
        for action, task in self._busy.values():
            if isinstance(action, Run) and action.container not in running and not task.cancelling():
                task.cancel()

    def _launch(self, action: Action, *, again: bool = False) -> bool:
        """Whether it was begun: not while another of its place goes on, nor (unless `again`) right after its end."""
        place = place_of(action)
        if place in self._busy:
            running, task = self._busy[place]
            if not overrides(action, running):
                return False
            task.cancel()
        if not again and monotonic() - self._ended.get(action, 0.0) < REPEAT_SECONDS:
            return False
        task = self._means.group.create_task(self._carry_out(action))
        self._busy[place] = (action, task)
        return True

    async def _do(self, action: Action) -> None:
        means, pod = self._means, self._pod
        match action:
            case Stop():
                await effects.stop(means, self._last, action, self._address)
                await self._know(action.container_id)
            case Remove():
                await means.runtime.remove(action.container_id)
                self._put(action.container_id, None)
            case Resize():
                await effects.resize(means, action)
                await self._know(action.container_id)
            case Withdraw():
                await means.network.without(action.address)
                self._withdrawn = True
            case TearDown():
                await self._tear_down()
            case _ if pod is None:
                return  # Gone from the API since the machine said so.
            case EnsureSandbox():
                sandbox, self._address = await self._wire(pod)
                self._put(sandbox.id, sandbox)
            case EnsureVolumes():
                await effects.ensure_volumes(means, pod)
                self._volumes_ready = True
            case Run():
                await self._know(await effects.run(means, pod, action, self._address))
            case DeleteFromApi():
                await means.api.delete(pod)

    async def _wire(self, pod: Pod) -> tuple[ContainerState, str]:
        """A sandbox that fails halfway may be there without its network: nothing starts in it before the next try."""
        wired = False
        try:
            found = await effects.ensure_sandbox(self._means, pod)
            wired = True
        finally:
            self._wired = wired
        return found

    async def _tear_down(self) -> None:
        sandbox = next((state.id for state in self._states if state.container == SANDBOX), "")
        await effects.tear_down(self._means, self._uid, sandbox)
        self._put(sandbox, None)
        self._volumes_ready, self._address = False, ""

    async def _know(self, container_id: str) -> None:
        """What has become of a container that an action of ours has changed: it alone is asked for."""
        self._put(container_id, await self._means.runtime.state(container_id))

    def _put(self, container_id: str, state: ContainerState | None) -> None:
        others = (one for one in self._states if one.id != container_id)
        self._states = (*others, *(() if state is None else (state,)))

    async def _carry_out(self, action: Action) -> None:
        subject, known = subject_of(action), False
        try:
            await self._do(action)
        except GitwardError as error:
            self._note(action, subject, error)
        except Exception as error:  # The top of an effect: told as a trouble of this pod alone.
            where = {"pod": self._uid, "action": type(action).__name__}
            log.exception("effect failed", extra={"fields": where})
            self._note(action, subject, Refused("InternalError", f"{type(error).__name__}: {error}"))
        else:
            known = True  # Each tells what there is now.
            self._trouble.pop(subject, None)
        finally:
            if self._busy.get(place := place_of(action), (None, None))[1] is asyncio.current_task():
                del self._busy[place]
            self._ended = {one: at for one, at in self._ended.items() if monotonic() - at < REPEAT_SECONDS}
            self._ended[action] = self._changed_at = monotonic()
            self._stale = self._stale or not known  # What failed may have been done in part.
            self._wake.set()

    def _note(self, action: Action, subject: str, error: GitwardError) -> None:
        why = error.why if isinstance(error, Refused) else type(action).__name__
        passing = error.passing if isinstance(error, Refused) else error.retry
        before = self._trouble.get(subject)
        failures = 1 if before is None or passing else before.failures + 1
        self._trouble[subject] = Trouble(why, str(error), self._means.clock(), failures)
        if self._pod is None or (passing and before is not None and before.message == str(error)):
            return  # What only passes is told once, whatever keeps failing is counted at each try.
        if isinstance(action, Run):
            message = f"Error: {why if why in IMAGE_TROUBLES else error}"
            self._means.api.event(self._pod, "Warning", "Failed", message, action.container)
        else:
            self._means.api.event(self._pod, "Warning", why, str(error))


def _revision(pod: Pod) -> int:
    return int(pod["metadata"].get("resourceVersion") or 0)


def _told_to_files(pod: Pod) -> Mapping[str, object]:
    """What a downward volume shows and may change."""
    return {name: pod["metadata"].get(name) for name in ("labels", "annotations")}
