"""What a pod's worker does while something is under way or has failed halfway: on the fake engine."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from agent.probes.checks import SimulatedChecks
from agent.runtime.fake import READY_AFTER, FakeRuntime
from agent.runtime.progress import PullProgress
from agent.runtime.protocol import ContainerState as State
from agent.runtime.protocol import ImageState, SandboxSpec
from gitops.kinds.core.pod import Pod, is_ready, pod_status
from gitops.kinds.errors import Unavailable
from tests.agent_world import Api, NoNetwork, NoVolumes, a_pod, running_node

APP = {"name": "app", "image": "shop:1"}


def now() -> datetime:
    return datetime.now(UTC)


CHECKS = SimulatedChecks(now, READY_AFTER)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(60):
            await scenario()

    asyncio.run(main())


def restarts(pod: Pod) -> int:
    statuses = pod_status(pod).get("containerStatuses", [])
    return statuses[0]["restartCount"] if statuses else 0


class Unhurried(FakeRuntime):
    """Its pulls never end, and take a moment to be given up."""

    pulling = 0

    async def pull(
        self, reference: str, auth: Mapping[str, str] | None, progress: PullProgress | None = None
    ) -> ImageState:
        self.pulling += 1
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.3)
            self.pulling -= 1
        raise AssertionError("an event that nobody sets")


class Witness(NoVolumes):
    """What was still being pulled when the volumes went."""

    def __init__(self, runtime: Unhurried) -> None:
        super().__init__()
        self._runtime = runtime
        self.seen: list[int] = []

    async def remove(self, uid: str) -> None:
        self.seen.append(self._runtime.pulling)
        await super().remove(uid)


def test_a_pod_that_is_deleted_while_its_image_is_pulled_gives_that_up_before_its_traces_go() -> None:
    """Else what is being started is bound into volumes that are being removed, and starts after the API forgot it."""

    async def scenario() -> None:
        runtime = Unhurried(now)
        volumes = Witness(runtime)
        async with running_node(runtime, CHECKS, Api(), volumes=volumes) as node:
            node.api.put(a_pod(containers=[{**APP, "imagePullPolicy": "Always"}]))
            while not runtime.pulling:
                await asyncio.sleep(0.02)

            node.api.ask_delete("uid-web")
            await node.until_gone("uid-web")

            assert volumes.seen == [0]
            assert runtime.pulling == 0

    run(scenario)


class Flaky(NoNetwork):
    """Its next `failures` attachments fail."""

    failures = 0

    async def attach(self, pid: int, address: str, uid: str) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("netlink: device or resource busy")
        await super().attach(pid, address, uid)


def test_a_sandbox_that_was_made_anew_and_could_not_be_wired_is_wired_before_anything_starts_in_it() -> None:
    async def scenario() -> None:
        runtime, network = FakeRuntime(now), Flaky()
        async with running_node(runtime, CHECKS, Api(), network=network) as node:
            node.api.put(a_pod(containers=[APP]))
            await node.until("uid-web", is_ready)

            network.attached.clear()
            network.failures = 1
            runtime.kill("uid-web-POD")
            await node.until("uid-web", lambda pod: restarts(pod) > 0 and is_ready(pod))

            assert network.attached == {"uid-web": "10.77.1.2"}

    run(scenario)


def test_an_agent_that_ended_before_it_wired_a_sandbox_starts_nothing_there_until_it_is() -> None:
    async def scenario() -> None:
        runtime, network, api = FakeRuntime(now), Flaky(), Api()
        pod = a_pod(containers=[APP])
        labels = {"io.gitward.address": "10.77.1.2"}
        await runtime.ensure_sandbox(SandboxSpec("uid-web", "web", "shop", "web", labels=labels))
        api.put(pod)
        network.failures = 2
        async with running_node(runtime, CHECKS, api, network=network) as node:
            await node.until("uid-web", is_ready)

            assert network.failures == 0
            assert network.attached == {"uid-web": "10.77.1.2"}

    run(scenario)


class Closed(FakeRuntime):
    """It makes no sandbox."""

    async def ensure_sandbox(self, spec: SandboxSpec, *, spare: str = "") -> State:
        raise Unavailable("the engine has no room")


class Unready(NoVolumes):
    async def ensure(self, *_: object) -> None:
        raise Unavailable("the volumes are elsewhere")


def test_a_pod_that_never_got_a_sandbox_gives_its_address_back() -> None:
    async def scenario() -> None:
        async with running_node(Closed(now), CHECKS, Api(), volumes=Unready()) as node:
            node.api.put(a_pod(containers=[APP]))
            while not node.means.addresses.has("uid-web"):
                await asyncio.sleep(0.02)

            node.api.ask_delete("uid-web")
            await node.until_gone("uid-web")
            while node.pods.pods():
                await asyncio.sleep(0.02)

            assert not node.means.addresses.has("uid-web")

    run(scenario)
