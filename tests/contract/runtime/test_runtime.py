"""The promises of `agent.runtime.protocol`, kept by the Docker driver and by the fake alike."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from agent.runtime.docker import DockerRuntime
from agent.runtime.fake import EXIT_CODE, RUN_FOR, FakeRuntime
from agent.runtime.protocol import (
    LABEL_ADDRESS,
    SANDBOX,
    Capacity,
    ContainerSpec,
    ContainerState,
    Limits,
    Phase,
    Runtime,
    SandboxSpec,
)
from gitops.kinds.errors import NotFound
from tests.docker.engine import IMAGE, lacks, private_engine

Make = Callable[[], Awaitable[Runtime]]


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="session")
def contract_engine() -> Iterator[str]:
    if missing := lacks():
        pytest.skip(missing)
    with private_engine() as host:
        yield host


@pytest.fixture(params=["fake", "docker"])
def make(request: pytest.FixtureRequest) -> Make:
    """Makes the runtime inside the test's own loop."""
    if request.param == "fake":
        images = {IMAGE}

        async def fake() -> Runtime:
            return FakeRuntime(now, images=images)

        return fake
    host = request.getfixturevalue("contract_engine")

    async def docker() -> Runtime:
        return await DockerRuntime.connect(host, cluster=f"contract-{uuid4().hex[:8]}")

    return docker


class Pod:
    """A pod's identity, and what tests do with its containers."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime, self.uid = runtime, str(uuid4())

    async def sandbox(self) -> ContainerState:
        return await self.runtime.ensure_sandbox(
            SandboxSpec(self.uid, "web", "shop", "web", labels={"address": "x"})
        )

    def spec(
        self, *command: str, attempt: int = 0, image: str = IMAGE, labels: Mapping[str, str] | None = None
    ) -> ContainerSpec:
        return ContainerSpec(
            self.uid, "web", "shop", "app", attempt, image, command=command, labels=labels or {}
        )

    async def state(self, container: str) -> ContainerState:
        return next(one for one in await self.runtime.states(self.uid) if one.container == container)

    async def until(self, phase: Phase, seconds: float = 10.0) -> ContainerState:
        async with asyncio.timeout(seconds):
            while (state := await self.state("app")).phase is not phase:
                await asyncio.sleep(0.05)
        return state


async def _using(make: Make, scenario: Callable[[Pod], Awaitable[None]]) -> None:
    runtime = await make()
    try:
        await scenario(Pod(runtime))
    finally:
        for state in [*await runtime.states(), *await runtime.spares()]:
            await runtime.remove(state.id)
        await runtime.close()


def run(make: Make, scenario: Callable[[Pod], Awaitable[None]]) -> None:
    asyncio.run(_using(make, scenario))


def test_a_sandbox_runs_when_it_is_answered_and_twice_is_once(make: Make) -> None:
    async def scenario(pod: Pod) -> None:
        first, second = await pod.sandbox(), await pod.sandbox()

        assert first.phase is Phase.RUNNING
        assert first.pid > 0
        assert first.id == second.id
        assert [state.container for state in await pod.runtime.states()] == [SANDBOX]
        assert (await pod.state(SANDBOX)).labels["address"] == "x"

    run(make, scenario)


def test_a_pod_that_is_named_as_another_ones_uid_lends_it_no_container(make: Make) -> None:
    async def scenario(pod: Pod) -> None:
        mine = await pod.sandbox()
        longer = SandboxSpec(f"{pod.uid}-1", "web", "shop", "web", labels={"address": "y"})
        named = SandboxSpec(str(uuid4()), pod.uid, "shop", "web", labels={"address": "z"})
        for other in (longer, named):
            await pod.runtime.ensure_sandbox(other)

        assert [state.id for state in await pod.runtime.states(pod.uid)] == [mine.id]
        assert len(await pod.runtime.states()) == 3

    run(make, scenario)


def test_a_spare_sandbox_is_no_pods_until_one_takes_it(make: Make) -> None:
    async def scenario(pod: Pod) -> None:
        spare = await pod.runtime.make_spare("5eed", "10.77.1.9")
        before = await pod.runtime.states(), [state.id for state in await pod.runtime.spares()]
        spec = SandboxSpec(pod.uid, "web-1.x", "shop", "web", labels={"address": "ignored"})
        taken = await pod.runtime.ensure_sandbox(spec, spare=spare.id)
        again = await pod.runtime.ensure_sandbox(spec)

        assert spare.phase is Phase.RUNNING
        assert spare.labels[LABEL_ADDRESS] == "10.77.1.9"
        assert before == ([], [spare.id])
        assert taken.id == again.id == spare.id
        assert (taken.pod_uid, taken.pod_name, taken.pod_namespace) == (pod.uid, "web-1.x", "shop")
        assert taken.labels[LABEL_ADDRESS] == "10.77.1.9"
        assert await pod.runtime.states(pod.uid) == await pod.runtime.states() == [taken]
        assert await pod.runtime.spares() == []
        assert await pod.runtime.ensure_container(pod.spec("sh", "-c", "true"))

    run(make, scenario)


def test_a_spare_sandbox_that_is_gone_cannot_be_taken(make: Make) -> None:
    async def scenario(pod: Pod) -> None:
        spare = await pod.runtime.make_spare("5eed", "10.77.1.9")
        await pod.runtime.remove(spare.id)

        with pytest.raises(NotFound):
            await pod.runtime.ensure_sandbox(SandboxSpec(pod.uid, "web", "shop", "web"), spare=spare.id)

    run(make, scenario)


def test_a_container_is_created_then_runs_then_ends_by_its_stop(make: Make) -> None:
    async def scenario(pod: Pod) -> None:
        sandbox = await pod.sandbox()
        made = await pod.runtime.ensure_container(
            pod.spec("sh", "-c", "trap 'exit 143' TERM; while :; do sleep 0.1; done")
        )
        created = await pod.state("app")
        await pod.runtime.start(made)
        await pod.runtime.start(made)
        running = await pod.until(Phase.RUNNING)
        await asyncio.sleep(0.3)
        await pod.runtime.stop(made, grace_seconds=5)
        await pod.runtime.stop(made, grace_seconds=5)
        ended = await pod.state("app")

        assert created.phase is Phase.CREATED
        assert created.sandbox_id == sandbox.id
        assert running.image == IMAGE
        assert running.started_at is not None
        assert ended.phase is Phase.EXITED
        assert ended.exit_code == 143
        assert ended.finished_at is not None

    run(make, scenario)


def test_a_running_container_gets_other_limits(make: Make) -> None:
    async def scenario(pod: Pod) -> None:
        await pod.sandbox()
        limits = Limits(memory_bytes=64 << 20, cpu_shares=102)
        made = await pod.runtime.ensure_container(replace(pod.spec("sleep", "60"), limits=limits))
        await pod.runtime.start(made)
        before = await pod.until(Phase.RUNNING)
        for _ in range(2):
            await pod.runtime.resize(made, Capacity(128 << 20, 500_000_000, 204))
        after = await pod.state("app")

        assert before.capacity == Capacity(64 << 20, 0, 102)
        assert after.capacity == Capacity(128 << 20, 500_000_000, 204)
        assert (after.phase, after.pid) == (Phase.RUNNING, before.pid)

    run(make, scenario)


def test_the_same_attempt_is_the_same_container_and_another_is_another(make: Make) -> None:
    async def scenario(pod: Pod) -> None:
        await pod.sandbox()
        first = await pod.runtime.ensure_container(pod.spec("sleep", "60"))
        again = await pod.runtime.ensure_container(pod.spec("sleep", "60"))
        second = await pod.runtime.ensure_container(pod.spec("sleep", "60", attempt=1))

        assert first == again
        assert second != first
        assert sorted(s.attempt for s in await pod.runtime.states() if s.container == "app") == [0, 1]

    run(make, scenario)


def test_a_container_that_ends_by_itself_keeps_its_exit_code(make: Make) -> None:
    async def scenario(pod: Pod) -> None:
        await pod.sandbox()
        made = await pod.runtime.ensure_container(
            pod.spec("sh", "-c", "sleep 0.2; exit 7", labels={RUN_FOR: "0.2", EXIT_CODE: "7"})
        )
        await pod.runtime.start(made)

        assert (await pod.until(Phase.EXITED)).exit_code == 7

    run(make, scenario)


def test_a_missing_image_is_not_found(make: Make) -> None:
    async def scenario(pod: Pod) -> None:
        await pod.sandbox()

        assert await pod.runtime.image("gitward.test/absent:1") is None
        assert await pod.runtime.image(IMAGE) is not None
        with pytest.raises(NotFound):
            await pod.runtime.ensure_container(pod.spec("true", image="gitward.test/absent:1"))

    run(make, scenario)


def test_removing_kills_and_absent_is_fine(make: Make) -> None:
    async def scenario(pod: Pod) -> None:
        await pod.sandbox()
        made = await pod.runtime.ensure_container(pod.spec("sleep", "60"))
        await pod.runtime.start(made)
        await pod.runtime.remove(made)
        await pod.runtime.remove(made)

        assert [state.container for state in await pod.runtime.states()] == [SANDBOX]

    run(make, scenario)


def test_one_container_is_told_as_the_list_tells_it(make: Make) -> None:
    async def scenario(pod: Pod) -> None:
        sandbox = await pod.sandbox()
        made = await pod.runtime.ensure_container(pod.spec("sleep", "60"))
        created = await pod.runtime.state(made)
        await pod.runtime.start(made)
        running = await pod.runtime.state(made)
        listed = await pod.state("app")
        await pod.runtime.stop(made, grace_seconds=1)
        ended = await pod.runtime.state(made)

        assert created is not None
        assert ended is not None
        assert (created.phase, ended.phase) == (Phase.CREATED, Phase.EXITED)
        assert running == listed
        assert await pod.runtime.state(sandbox.id) == sandbox
        await pod.runtime.remove(made)
        assert await pod.runtime.state(made) is None

    run(make, scenario)


def test_a_death_is_an_event_of_its_pod(make: Make) -> None:
    async def scenario(pod: Pod) -> None:
        await pod.sandbox()
        made = await pod.runtime.ensure_container(pod.spec("sleep", "60"))
        await pod.runtime.start(made)
        await pod.until(Phase.RUNNING)
        heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

        async def listen(events: AsyncIterator[object]) -> None:
            async for event in events:
                heard.put_nowait((getattr(event, "pod_uid", ""), getattr(event, "container_id", "")))

        listening = asyncio.create_task(listen(pod.runtime.events()))
        await asyncio.sleep(0.5)
        await pod.runtime.stop(made, grace_seconds=0)
        async with asyncio.timeout(10):
            assert await heard.get() == (pod.uid, made)
        listening.cancel()

    run(make, scenario)


def test_exec_answers_the_exit_code(make: Make) -> None:
    async def scenario(pod: Pod) -> None:
        await pod.sandbox()
        made = await pod.runtime.ensure_container(pod.spec("sleep", "60"))
        await pod.runtime.start(made)
        await pod.until(Phase.RUNNING)

        assert (await pod.runtime.exec(made, ("true",), timeout_seconds=10)).exit_code == 0

    run(make, scenario)
