"""Pods realised on the fake engine: the machine, the worker and the reports together."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from agent.probes.checks import SimulatedChecks
from agent.runtime.fake import READY_AFTER, FakeRuntime
from agent.runtime.progress import PullProgress
from agent.runtime.protocol import ImageState
from gitops.kinds.core.pod import Pod, is_ready, pod_phase, pod_status
from tests.agent_world import Api, NoNetwork, a_pod, running_node

APP = {"name": "app", "image": "shop:1"}


def now() -> datetime:
    return datetime.now(UTC)


def reason_of(pod: Pod) -> str:
    statuses = pod_status(pod).get("containerStatuses", [])
    return statuses[0]["state"].get("waiting", {}).get("reason", "") if statuses else ""


def run(scenario: Callable[[FakeRuntime, Api], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(30):
            await scenario(FakeRuntime(now), Api())

    asyncio.run(main())


def test_a_pod_becomes_ready_in_two_reports() -> None:
    async def scenario(runtime: FakeRuntime, api: Api) -> None:
        async with running_node(runtime, SimulatedChecks(now, READY_AFTER), api) as node:
            node.api.put(a_pod(containers=[APP]))
            pod = await node.until("uid-web", is_ready)

            assert pod_phase(pod) == "Running"
            assert pod_status(pod)["podIP"] == "10.77.1.2"
            assert len(api.statuses) <= 2

    run(scenario)


def test_a_killed_agent_goes_on_where_it_was_and_restarts_nothing() -> None:
    async def scenario(runtime: FakeRuntime, api: Api) -> None:
        checks = SimulatedChecks(now, READY_AFTER)
        async with running_node(runtime, checks, api) as node:
            node.api.put(a_pod(containers=[APP]))
            await node.until("uid-web", is_ready)
        before, written = dict(runtime.containers), len(api.statuses)
        async with running_node(runtime, checks, api):
            await asyncio.sleep(0.6)

        assert runtime.containers == before
        assert len(api.statuses) == written

    run(scenario)


def test_a_deleted_pod_is_unready_then_out_of_the_proxies_then_stopped_then_gone() -> None:
    async def scenario(runtime: FakeRuntime, api: Api) -> None:
        network = NoNetwork()
        async with running_node(runtime, SimulatedChecks(now, READY_AFTER), api, network=network) as node:
            node.api.put(a_pod(containers=[APP]))
            await node.until("uid-web", is_ready)
            api.ask_delete("uid-web")
            await node.until_gone("uid-web")

            ready = [s["conditions"][2]["status"] for _, s in api.statuses]
            assert ready[-2:] == ["False", "False"]
            assert network.withdrawn == ["10.77.1.2"]
            assert network.attached == {}
            assert runtime.containers == {}
            assert api.statuses[-1][1]["phase"] == "Failed"

    run(scenario)


def test_a_pod_that_vanished_from_the_api_is_ended() -> None:
    async def scenario(runtime: FakeRuntime, api: Api) -> None:
        async with running_node(runtime, SimulatedChecks(now, READY_AFTER), api) as node:
            node.api.put(a_pod(containers=[APP]))
            await node.until("uid-web", is_ready)
            api.forget("uid-web")
            await node.until_gone("uid-web")

            assert runtime.containers == {}

    run(scenario)


def test_what_runs_without_a_pod_is_ended_after_the_first_complete_list() -> None:
    async def scenario(runtime: FakeRuntime, api: Api) -> None:
        checks = SimulatedChecks(now, READY_AFTER)
        async with running_node(runtime, checks, api) as node:
            node.api.put(a_pod(containers=[APP]))
            await node.until("uid-web", is_ready)
        api.pods.clear()
        async with running_node(runtime, checks, api) as node:
            await node.until_gone("uid-web")

    run(scenario)


def test_an_image_that_cannot_be_pulled_waits_with_kubernetes_reason() -> None:
    async def scenario(runtime: FakeRuntime, api: Api) -> None:
        runtime.images = set()
        async with running_node(runtime, SimulatedChecks(now, READY_AFTER), api) as node:
            node.api.put(a_pod(containers=[APP]))
            await node.until("uid-web", lambda pod: reason_of(pod) == "ErrImagePull")
            pod = await node.until("uid-web", lambda pod: reason_of(pod) == "ImagePullBackOff")

            assert pod_phase(pod) == "Pending"

    run(scenario)


def test_a_missing_config_map_holds_a_container_until_it_comes() -> None:
    async def scenario(runtime: FakeRuntime, api: Api) -> None:
        variable = {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}}}
        async with running_node(runtime, SimulatedChecks(now, READY_AFTER), api) as node:
            node.api.put(a_pod(containers=[{**APP, "env": [variable]}]))
            await node.until("uid-web", lambda pod: reason_of(pod) == "CreateContainerConfigError")
            await api.put_object(
                {"kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"colour": "red"}}
            )
            await node.until("uid-web", is_ready, seconds=1.5)

    run(scenario)


def test_an_engine_that_is_away_changes_no_status() -> None:
    async def scenario(runtime: FakeRuntime, api: Api) -> None:
        async with running_node(runtime, SimulatedChecks(now, READY_AFTER), api) as node:
            node.api.put(a_pod(containers=[APP]))
            await node.until("uid-web", is_ready)
            written = len(api.statuses)
            runtime.down = True
            await asyncio.sleep(3.5)
            assert node.pods.engine_problem != ""
            runtime.down = False
            await asyncio.sleep(3.5)

            assert len(api.statuses) == written
            assert node.pods.engine_problem == ""

    run(scenario)


class SlowRegistry(FakeRuntime):
    """Its pulls last until they are let go."""

    let_go = asyncio.Event()

    async def image(self, reference: str) -> ImageState | None:
        return await super().image(reference) if self.let_go.is_set() else None

    async def pull(
        self, reference: str, auth: Mapping[str, str] | None, progress: PullProgress | None = None
    ) -> ImageState:
        assert progress is not None
        detail = {"current": 20_000_000, "total": 500_000_000}
        progress.note({"status": "Downloading", "id": "a", "progressDetail": detail})
        await self.let_go.wait()
        return await super().pull(reference, auth, progress)


def test_a_long_pull_says_how_far_it_is_ever_more_seldom() -> None:
    pauses = list[float]()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0.01)

    async def scenario(_: FakeRuntime, api: Api) -> None:
        runtime = SlowRegistry(now)
        runtime.let_go = asyncio.Event()
        async with running_node(runtime, SimulatedChecks(now, READY_AFTER), api, sleep=sleep) as node:
            api.put(a_pod(containers=[APP]))
            message = 'Pulling image "shop:1": 20 MB of 500 MB downloaded'
            await node.until("uid-web", lambda _: api.events.count(("web", "Pulling", message)) >= 3)
            runtime.let_go.set()
            await node.until("uid-web", is_ready)

        assert api.events[0] == ("web", "Pulling", 'Pulling image "shop:1"')
        assert [one for one in pauses if one in (30.0, 60.0, 120.0)][:3] == [30.0, 60.0, 120.0]

    run(scenario)
