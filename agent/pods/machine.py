"""What to do next for a pod: one pure function, `step`, from what should be, what is and the time.

It keeps nothing. What must outlive the agent is read back from labels and from the status that the API holds, so a
killed agent goes on where it was. Source: kubernetes/pkg/kubelet (`computePodActions`, `syncTerminatingPod`).
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from agent.pods.backoff import MAX_SECONDS, has_failed, may_start_at, next_back_off_seconds
from agent.pods.container_status import ERR_IMAGE_PULL_SECONDS, known_status
from agent.pods.observed import (
    RESIZE,
    VOLUMES,
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
    Withdraw,
)
from agent.pods.resizing import is_outdated, restarts_to_resize, withheld
from agent.pods.resources import capacity_of
from agent.pods.restarting import restarts
from agent.pods.status import is_init_done, is_initialized, report
from agent.runtime.protocol import LABEL_BACK_OFF, SANDBOX, ContainerState, Phase
from gitops.kinds.core.pod import (
    Container,
    Pod,
    PodStatus,
    is_ready,
    is_sidecar,
    is_terminal,
    pod_phase,
    pod_status,
)
from gitops.kinds.objects import is_going, moment_of

TROUBLE_FIRST_SECONDS: Final = (
    2  # A sandbox, network or volume that failed; doubled at each failure in a row.
)
PULL_FIRST_SECONDS: Final = 10  # kubelet's back-off for images.
CONFIG_RETRY_SECONDS: Final = (
    2  # A missing ConfigMap is an ordering, not a fault: it may come with the next commit.
)
REPORT_RETRY_SECONDS: Final = 1
DEFERRED_SECONDS: Final = 3  # A resize that waits for others' room.
GRACE_DEFAULT_SECONDS: Final = 30
GRACE_MIN_SECONDS: Final = 1  # kubelet's smallest: also a forced delete lets a process see SIGTERM.


def step(desired: Pod | None, observed: PodObserved, now: datetime) -> Actions:
    """The next actions for one pod.

    Args:
        desired: the pod as the API has it, its status as last reported; None: the API has no such pod (any more).
        observed: see there.
        now: UTC.
    Returns:
        Settled (nothing to do, the status as reported) once the pod is as it should be. Of a pod that is gone:
        settled once nothing of it is left.
    """
    if desired is None:
        return _end(None, observed, now, None)
    status = report(desired, observed, now)
    if is_going(desired):
        return _end(desired, observed, now, status)
    if status["phase"] in ("Succeeded", "Failed"):
        return _finish(desired, observed, status)
    plan = _Plan(desired, observed, now)
    plan.toward_running()
    return plan.actions(status)


def _finish(desired: Pod, observed: PodObserved, status: PodStatus) -> Actions:
    """Toward rest: a pod that succeeded or failed runs nothing; its dead containers stay for their logs."""
    do: tuple[Action, ...] = _stops(desired, observed, "Pod has finished")
    if observed.running or observed.starting:
        status = _not_yet_over(desired, status)
    left = observed.sandbox is not None or observed.volumes_ready
    if not observed.running and not observed.starting and left:
        do = (TearDown(),)
    return Actions(do, status=status, gives_up=True)


def _not_yet_over(desired: Pod, status: PodStatus) -> PodStatus:
    """What ends a pod is told when nothing of it runs any more: others take what it held from then on."""
    if is_terminal(desired):
        return status
    known = pod_status(desired)
    held: PodStatus = {**status, "phase": pod_phase(desired)}
    held.pop("reason", None)
    held.pop("message", None)
    if "reason" in known:
        held["reason"], held["message"] = known["reason"], known.get("message", "")
    return held


def _end(desired: Pod | None, observed: PodObserved, now: datetime, status: PodStatus | None) -> Actions:
    """Toward nothing: not Ready, out of the proxies, SIGTERM, SIGKILL, last status, traces removed, last delete."""
    ends = Actions(status=status, gives_up=True)
    again = replace(ends, wake_at=now + timedelta(seconds=REPORT_RETRY_SECONDS))
    if observed.running:
        if desired is not None and is_ready(desired) and not observed.offline:
            return again
        if observed.address and not observed.withdrawn:
            return replace(ends, do=(Withdraw(observed.address),))
        return replace(ends, do=_stops(desired, observed, "Stopping container"))
    if observed.starting:
        return again  # What may still start uses what would go, and must not outlive the pod in the API.
    if desired is not None and status != pod_status(desired) and not observed.offline:
        return again  # The last words come before the traces go.
    if observed.containers or observed.volumes_ready:
        dead = tuple(Remove(state.id) for state in observed.containers if state.container != SANDBOX)
        return replace(ends, do=(*dead, TearDown()))
    return replace(ends, do=(DeleteFromApi(),)) if desired is not None else ends


def _stops(desired: Pod | None, observed: PodObserved, why: str) -> tuple[Stop, ...]:
    """All app containers at once; sidecars after them, the last one first. An evicted pod is given what
    time the node has, which is mostly none."""
    grace_seconds = observed.evicted_grace_seconds if observed.evicted else None
    inits = desired["spec"].get("initContainers", []) if desired is not None else []
    sidecars = [one["name"] for one in inits if is_sidecar(one)]
    apps = [state for state in observed.running if state.container not in sidecars]
    if apps:
        return tuple(_stop(desired, state, why, grace_seconds) for state in apps)
    by_age = sorted(observed.running, key=lambda state: sidecars.index(state.container))
    return tuple(_stop(desired, state, why, grace_seconds) for state in by_age[-1:])


def _stop(desired: Pod | None, state: ContainerState, why: str, grace_seconds: float | None = None) -> Stop:
    grace: float = GRACE_DEFAULT_SECONDS
    if desired is not None:
        grace = desired["spec"].get("terminationGracePeriodSeconds", GRACE_DEFAULT_SECONDS)
        grace = desired["metadata"].get("deletionGracePeriodSeconds", grace)
    if grace_seconds is not None:
        grace = grace_seconds
    return Stop(state.container, state.id, max(grace, GRACE_MIN_SECONDS), why)


class _Plan:
    """Collects the actions of one step of a pod that shall run."""

    def __init__(self, desired: Pod, observed: PodObserved, now: datetime) -> None:
        self._desired, self._observed, self._now = desired, observed, now
        self._do: list[Action] = []
        self._wakes: list[datetime] = []
        self._probe: list[str] = []

    def actions(self, status: PodStatus) -> Actions:
        return Actions(tuple(self._do), tuple(self._probe), status, min(self._wakes, default=None))

    def toward_running(self) -> None:
        """A sandbox and volumes, then init containers one by one, then all others at once."""
        self._watch_deadline()
        observed, sandbox = self._observed, self._observed.sandbox
        if sandbox is not None and sandbox.phase is not Phase.RUNNING:
            # Nothing can be started in a dead sandbox, and what still runs there is cut off: begin anew.
            self._do += _stops(self._desired, observed, "Pod sandbox is gone")
            if not observed.running:
                self._do.append(Remove(sandbox.id))
            return
        wired = bool(observed.address) and observed.wired
        ready = sandbox is not None and wired and observed.volumes_ready
        if (sandbox is None or not wired) and self._may_retry(SANDBOX, TROUBLE_FIRST_SECONDS):
            self._do.append(EnsureSandbox())
        if not observed.volumes_ready and self._may_retry(VOLUMES, TROUBLE_FIRST_SECONDS):
            self._do.append(EnsureVolumes())
        if ready and sandbox is not None:
            self._start_in(sandbox)
            self._sweep()

    def _start_in(self, sandbox: ContainerState) -> None:
        spec = self._desired["spec"]
        initialized = is_initialized(self._desired, self._observed)
        for visitor in spec.get("ephemeralContainers", ()):
            self._visit(visitor)
        for container in spec.get("initContainers", ()):
            if is_sidecar(container):
                self._keep_running(container, sandbox)
            elif not initialized:
                self._complete(container, sandbox)
            if not initialized and not is_init_done(self._desired, self._observed, container):
                return
        for container in spec["containers"]:
            self._keep_running(container, sandbox)

    def _visit(self, container: Container) -> None:
        """An ephemeral container: run once, whatever the others do."""
        newest, known = (
            self._observed.newest(container["name"]),
            known_status(self._desired, container["name"]),
        )
        lost = newest is None and known is not None and not known.get("state", {}).keys() <= {"waiting"}
        if not lost and (newest is None or newest.phase is Phase.CREATED):
            self._run(container, newest)

    def _complete(self, container: Container, sandbox: ContainerState) -> None:
        """One init container: run until it has ended well in this sandbox. With Never its failure was the pod's."""
        newest = self._observed.newest(container["name"])
        unmade = newest is None or newest.sandbox_id != sandbox.id or newest.phase is Phase.CREATED
        if unmade or (newest and has_failed(newest) and self._is_due(may_start_at(newest))):
            self._run(container, newest)

    def _keep_running(self, container: Container, sandbox: ContainerState) -> None:
        """An app container or sidecar: started, restarted in its time, stopped when it may not go on."""
        newest = self._observed.newest(container["name"])
        if newest is None or newest.phase is Phase.CREATED:
            self._run(container, newest)
            return
        changed = newest.image != container["image"] or self._resizes_by_restart(container, newest)
        if newest.phase is Phase.EXITED:
            again = restarts(self._desired, container, newest.exit_code)
            if changed or (again and self._is_due(may_start_at(newest))):
                self._run(container, newest)
            return
        if not self._observed.runs(newest):
            return
        verdict = self._observed.verdicts.get(container["name"])
        if newest.sandbox_id != sandbox.id:
            self._do.append(_stop(self._desired, newest, "Pod sandbox changed"))
        elif changed:
            self._do.append(_stop(self._desired, newest, f"Container {container['name']} definition changed"))
        elif verdict is not None and verdict.container_id == newest.id and verdict.unhealthy:
            self._do.append(_stop(self._desired, newest, verdict.unhealthy, verdict.grace_seconds))
        else:
            self._probe.append(container["name"])
            self._resize(container, newest)

    def _resizes_by_restart(self, container: Container, newest: ContainerState) -> bool:
        return restarts_to_resize(self._desired, container, newest) and not self._withheld()

    def _withheld(self) -> bool:
        """Whether its resize is not begun; one that waits for others' room is looked at again."""
        why = withheld(self._desired, self._observed)
        if why is not None and why.reason == "Deferred":
            self._wakes.append(self._now + timedelta(seconds=DEFERRED_SECONDS))
        return why is not None

    def _resize(self, container: Container, running: ContainerState) -> None:
        if not is_outdated(self._desired, container, running) or self._withheld():
            return
        if self._may_retry(RESIZE, TROUBLE_FIRST_SECONDS):
            self._do.append(Resize(container["name"], running.id, capacity_of(self._desired, container)))

    def _run(self, container: Container, newest: ContainerState | None) -> None:
        name = container["name"]
        trouble = self._observed.trouble.get(name)
        pull = trouble is not None and trouble.reason == "ErrImagePull"
        if trouble is not None and pull:
            self._is_due(
                trouble.at + timedelta(seconds=ERR_IMAGE_PULL_SECONDS)
            )  # It is then shown differently.
        if not self._may_retry(name, PULL_FIRST_SECONDS if pull else CONFIG_RETRY_SECONDS):
            return
        sandbox = self._observed.sandbox
        if newest is None:
            self._do.append(Run(name, _first_attempt(self._desired, name), 0))
        elif newest.phase is Phase.CREATED and sandbox is not None and newest.sandbox_id == sandbox.id:
            self._do.append(Run(name, newest.attempt, int(newest.labels.get(LABEL_BACK_OFF, "0"))))
        else:
            self._do.append(Run(name, newest.attempt + 1, next_back_off_seconds(newest)))

    def _sweep(self) -> None:
        """Of each container the newest attempt and the one before it are kept, for its logs and its last state."""
        for name in sorted({state.container for state in self._observed.containers} - {SANDBOX}):
            self._do += [Remove(state.id) for state in self._observed.history(name)[2:]]

    def _watch_deadline(self) -> None:
        seconds = self._desired["spec"].get("activeDeadlineSeconds")
        started = pod_status(self._desired).get("startTime")
        if seconds and started:
            self._is_due(moment_of(started) + timedelta(seconds=seconds))

    def _may_retry(self, what: str, first_seconds: int) -> bool:
        """Whether the last trouble with it, if any, is old enough."""
        trouble = self._observed.trouble.get(what)
        if trouble is None:
            return True
        delay = min(first_seconds * 2 ** min(trouble.failures - 1, 10), MAX_SECONDS)
        return self._is_due(trouble.at + timedelta(seconds=delay))

    def _is_due(self, at: datetime | None) -> bool:
        """Whether the time has come; if not, the pod is looked at again then."""
        if at is None or at <= self._now:
            return True
        self._wakes.append(at)
        return False


def _first_attempt(desired: Pod, name: str) -> int:
    """0, or more than was reported where the engine has lost the container: a restart count never falls."""
    status = known_status(desired, name)
    if status is not None:
        state = status.get("state", {})
        if "running" in state or "terminated" in state or status["restartCount"]:
            return status["restartCount"] + 1
    return 0
