"""The probes of one start of a container: a startup probe gates the others, each has its own rhythm.

It tells its verdict whenever that changes. Before the first result of a probe it says nothing of its subject, so that
after a restart of the agent the last reported state stands until something is known.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

from agent.probes.checks import Checks, Target
from agent.probes.tally import Outcome, Tally, counted, eager_delay_seconds
from gitops.kinds.core.pod import Container, Probe
from gitops.kinds.errors import GitwardError

Which = Literal["Startup", "Readiness", "Liveness"]
FIELDS: Final[Mapping[Which, str]] = {
    "Startup": "startupProbe",
    "Readiness": "readinessProbe",
    "Liveness": "livenessProbe",
}


@dataclass(frozen=True, slots=True)
class Result:
    """What the probes of a container say. `ready` None: not known yet."""

    started: bool
    ready: bool | None
    unhealthy: str = ""
    grace_seconds: int | None = None


class Known(NamedTuple):
    """What was reported of this start before, by an agent that ended since; and how long it runs."""

    started: bool = False
    ready: bool = False
    age_seconds: float = 0.0


class Prober:
    """Run it as a task; cancel it when the container ends."""

    def __init__(
        self,
        checks: Checks,
        container: Container,
        target: Target,
        *,
        known: Known,
        tell: Callable[[Result], None],
        complain: Callable[[str], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`tell` gets each verdict, `complain` each failure that counts."""
        self._checks, self._container, self._target = checks, container, target
        self._tell, self._complain, self._sleep = tell, complain, sleep
        self._known = known
        started = known.started or "startupProbe" not in container
        self._result = Result(started, None if "readinessProbe" in container else True)

    async def run(self) -> None:
        if not self._result.started:
            await self._repeat("Startup", self._container["startupProbe"])
        async with asyncio.TaskGroup() as group:
            if "readinessProbe" in self._container:
                group.create_task(self._repeat("Readiness", self._container["readinessProbe"]))
            if "livenessProbe" in self._container:
                group.create_task(self._repeat("Liveness", self._container["livenessProbe"]))

    async def _repeat(self, which: Which, probe: Probe) -> None:
        """Until it makes no difference any more: a startup probe that succeeded, a container that is to be stopped."""
        tally = Tally(True if which == "Readiness" and self._known.ready else None)
        await self._sleep(max(probe.get("initialDelaySeconds", 0) - self._known.age_seconds, 0))
        while True:
            outcome = await self._outcome(probe)
            delay = None if which == "Liveness" else eager_delay_seconds(tally, probe)
            if outcome is None:
                pass
            elif delay is not None and not outcome.ok:
                tally = tally._replace(eager=tally.eager + 1)
            else:
                tally = counted(tally, probe, outcome)
                delay = None
                if not outcome.ok:
                    self._complain(f"{which} probe failed: {outcome.message}")
            if outcome is not None and self._conclude(which, probe, tally, outcome):
                return
            await self._sleep(probe["periodSeconds"] if delay is None else delay)

    async def _outcome(self, probe: Probe) -> Outcome | None:
        """None: it could not be made, which says nothing about the container."""
        try:
            return await self._checks.check(probe, self._container, self._target)
        except GitwardError:
            return None

    def _conclude(self, which: Which, probe: Probe, tally: Tally, outcome: Outcome) -> bool:
        before, done = self._result, False
        match which:
            case "Readiness":
                self._result = replace(before, ready=tally.holds is True)
            case "Startup" if tally.holds is True:
                self._result, done = replace(before, started=True), True
            case "Startup" | "Liveness" if tally.holds is False:
                name = self._container["name"]
                why = f"Container {name} failed {which.lower()} probe, will be restarted"
                grace = probe.get("terminationGracePeriodSeconds")
                self._result, done = replace(before, unhealthy=why, grace_seconds=grace), True
            case _:
                pass
        if self._result != before:
            self._tell(self._result)
        return done
