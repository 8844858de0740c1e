"""Probes: thresholds, gates, rhythm, and real http and tcp."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from agent.probes.checks import NetworkChecks, Target
from agent.probes.prober import Known, Prober, Result
from agent.probes.tally import Outcome
from agent.runtime.fake import FakeRuntime
from gitops.kinds.core.pod import Container, Probe
from gitops.kinds.errors import Unavailable
from tests.agent_world import a_pod

NOW = datetime(2026, 1, 1, tzinfo=UTC)
UNKNOWN = Known()


class Script:
    """Answers probes from a list, then stops the clock. None: the probe cannot be made."""

    def __init__(self, **outcomes: list[bool | None]) -> None:
        self.outcomes = outcomes
        self.slept: list[float] = []

    async def check(self, probe: Probe, container: Container, target: Target) -> Outcome:
        which = next(
            name for name in ("startup", "readiness", "liveness") if container.get(f"{name}Probe") is probe
        )
        if not self.outcomes.get(which):
            await asyncio.Event().wait()
        outcome = self.outcomes[which].pop(0)
        if outcome is None:
            raise Unavailable("the engine is away")
        return Outcome(outcome, "words")

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


def a_container(**probes: dict[str, Any]) -> Container:
    stated = {f"{name}Probe": {"tcpSocket": {"port": 1}, **probe} for name, probe in probes.items()}
    return a_pod(containers=[{"name": "app", "image": "shop:1", **stated}])["spec"]["containers"][0]


def told(container: Container, script: Script, known: Known = UNKNOWN) -> tuple[list[Result], list[str]]:
    """All verdicts and complaints until the script is over."""
    results: list[Result] = []
    complaints: list[str] = []

    async def main() -> None:
        target = Target("id", "127.0.0.1", NOW, {})
        prober = Prober(
            script,
            container,
            target,
            known=known,
            tell=results.append,
            complain=complaints.append,
            sleep=script.sleep,
        )
        task = asyncio.create_task(prober.run())
        for _ in range(200):
            await asyncio.sleep(0)
        task.cancel()

    asyncio.run(main())
    return results, complaints


def test_a_readiness_probe_makes_ready_and_unready_by_its_thresholds() -> None:
    container = a_container(readiness={"failureThreshold": 2, "successThreshold": 2})
    script = Script(readiness=[True, True, False, True, False, False])

    results, complaints = told(container, script)

    assert [one.ready for one in results] == [False, True, False]
    assert complaints == ["Readiness probe failed: words"] * 3


def test_before_its_first_success_a_container_is_asked_eagerly_and_not_complained_of() -> None:
    script = Script(readiness=[False, False, False, True])

    results, complaints = told(a_container(readiness={"periodSeconds": 10}), script)

    assert script.slept == [0, 0.1, 0.2, 0.4, 10]
    assert [one.ready for one in results] == [False, True]
    assert complaints == []


def test_a_startup_probe_gates_the_others() -> None:
    container = a_container(startup={"periodSeconds": 1}, liveness={"failureThreshold": 1}, readiness={})

    held, _ = told(container, Script(startup=[False, False], liveness=[False], readiness=[True]))
    freed, _ = told(container, Script(startup=[False, True], liveness=[True], readiness=[True]))

    assert held == []
    assert [one.started for one in freed] == [True, True]
    assert freed[-1] == Result(True, True)


def test_a_startup_probe_that_fails_for_good_stops_the_container() -> None:
    container = a_container(startup={"periodSeconds": 1, "failureThreshold": 2})

    results, _ = told(container, Script(startup=[False] * 8))

    assert results[-1].unhealthy == "Container app failed startup probe, will be restarted"


def test_a_liveness_probe_brings_its_own_grace() -> None:
    container = a_container(liveness={"failureThreshold": 2, "terminationGracePeriodSeconds": 3})

    results, complaints = told(container, Script(liveness=[True, False, False]))

    assert [(one.unhealthy, one.grace_seconds) for one in results] == [
        ("Container app failed liveness probe, will be restarted", 3)
    ]
    assert len(complaints) == 2


def test_a_probe_that_cannot_be_made_says_nothing() -> None:
    assert told(a_container(liveness={"failureThreshold": 1}), Script(liveness=[None, None, True])) == (
        [],
        [],
    )


def test_after_a_restart_of_the_agent_one_failure_does_not_make_unready() -> None:
    container = a_container(readiness={"failureThreshold": 3, "initialDelaySeconds": 30})
    script = Script(readiness=[False, True])

    results, _ = told(container, script, Known(started=True, ready=True, age_seconds=100))

    assert [one.ready for one in results] == [True]
    assert script.slept[0] == 0


async def _answers(use: Callable[[int, NetworkChecks], Any]) -> None:
    async def ok(request: web.Request) -> web.Response:
        assert request.headers["User-Agent"] == "kube-probe/1.35"
        return web.Response(status=204)

    async def away(request: web.Request) -> web.Response:
        raise web.HTTPFound("/ok")

    async def bad(request: web.Request) -> web.Response:
        return web.Response(status=503)

    app = web.Application()
    app.router.add_get("/ok", ok)
    app.router.add_get("/away", away)
    app.router.add_get("/bad", bad)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    checks = NetworkChecks(FakeRuntime(lambda: NOW))
    try:
        await use(port, checks)
    finally:
        await checks.close()
        await runner.cleanup()


@pytest.mark.parametrize(
    ("path", "outcome"),
    [
        ("/ok", Outcome(True)),
        ("/away", Outcome(True)),
        ("/bad", Outcome(False, "HTTP probe failed with statuscode: 503")),
    ],
)
def test_http(path: str, outcome: Outcome) -> None:
    async def use(port: int, checks: NetworkChecks) -> None:
        container = a_container(liveness={"httpGet": {"port": port, "path": path}})
        del container["livenessProbe"]["tcpSocket"]
        target = Target("id", "127.0.0.1", NOW, {})

        assert await checks.check(container["livenessProbe"], container, target) == outcome

    asyncio.run(_answers(use))


def test_tcp() -> None:
    async def use(port: int, checks: NetworkChecks) -> None:
        target = Target("id", "127.0.0.1", NOW, {})
        open_port = a_container(liveness={"tcpSocket": {"port": port}})
        closed = a_container(liveness={"tcpSocket": {"port": 1}})

        assert (await checks.check(open_port["livenessProbe"], open_port, target)).ok
        refused = await checks.check(closed["livenessProbe"], closed, target)
        assert not refused.ok
        assert "127.0.0.1:1" in refused.message

    asyncio.run(_answers(use))
