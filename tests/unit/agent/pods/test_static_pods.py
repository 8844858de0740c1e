"""Static pods on the fake engine: run from files, mirrored in the API, with and without it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from agent.pods.static_files import is_mirror
from agent.pods.static_pods import StaticPods
from agent.probes.checks import SimulatedChecks
from agent.runtime.fake import READY_AFTER, FakeRuntime
from agent.runtime.protocol import Phase
from gitops.kinds.core.node import Node
from gitops.kinds.core.pod import MIRROR, Pod, is_ready, pod_condition, pod_status
from gitops.kinds.errors import AlreadyExists
from gitops.kinds.objects import annotations_of, uid, with_meta
from tests.agent_world import NODE, Api, running_node

FILE = """
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {terminationGracePeriodSeconds: 1, containers: [{name: app, image: "shop:1"}]}
"""
OWNER = cast(
    Node, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "uid": "uid-node"}, "spec": {}}
)


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class MirroringApi(Api):
    made: int = 0

    async def create(self, pod: Pod) -> Pod:
        self._answer()
        if any(one["metadata"]["name"] == pod["metadata"]["name"] for one in self.pods.values()):
            raise AlreadyExists("pod")
        self.made += 1
        return self._store(with_meta(pod, uid=f"mirror-{self.made}", generation=1))


@dataclass
class World:
    directory: Path
    api: MirroringApi = field(default_factory=MirroringApi)
    runtime: FakeRuntime = field(default_factory=lambda: FakeRuntime(now))

    def state(self, text: str = FILE) -> None:
        (self.directory / "web.yaml").write_text(text)

    @asynccontextmanager
    async def node(self) -> AsyncIterator[StaticPods]:
        static = StaticPods(self.directory, NODE, self.api, lambda: OWNER)
        checks = SimulatedChecks(now, READY_AFTER)
        async with running_node(self.runtime, checks, Api(), through=static) as node:

            def tell(pod: Pod | None, pod_uid: str) -> None:
                known = pod or next((one for one in seen.values() if uid(one) == pod_uid), None)
                if known is not None:
                    seen[pod_uid] = known
                    static.mirror(known, gone=pod is None)

            seen: dict[str, Pod] = {}
            self.api.listeners.append(tell)
            for pod in self.api.pods.values():
                tell(pod, uid(pod))
            await static.begin(node.pods)
            node.pods.complete(static.uids())
            running = asyncio.create_task(static.run(now, lambda _: asyncio.sleep(0.05)))
            try:
                yield static
            finally:
                self.api.listeners.remove(tell)
                running.cancel()
                await asyncio.wait((running,))

    async def until(self, holds: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(20):
                while not holds():
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"{self.api.pods}, {self.runtime.containers}") from None

    def mirrors(self) -> list[Pod]:
        return list(self.api.pods.values())

    def is_served(self) -> bool:
        return len(self.mirrors()) == 1 and is_ready(self.mirrors()[0])

    def running(self) -> set[tuple[str, str]]:
        states = (one.state(now()) for one in self.runtime.containers.values())
        return {
            (one.id, one.image) for one in states if one.container == "app" and one.phase is Phase.RUNNING
        }


def essence(mirror: Pod) -> object:
    """What a restart would change."""
    ready = pod_condition(mirror, "Ready")
    status = pod_status(mirror)
    counts = [one["restartCount"] for one in status["containerStatuses"]]
    return (
        uid(mirror),
        ready and (ready["status"], ready.get("lastTransitionTime")),
        status["startTime"],
        counts,
    )


def play(directory: Path, scenario: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(60):
            await scenario(World(directory))

    asyncio.run(main())


def test_a_file_runs_and_is_mirrored_with_its_status(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        world.state()
        async with world.node():
            await world.until(world.is_served)

        mirror = world.mirrors()[0]
        assert mirror["metadata"].get("name") == "web-n1"
        assert is_mirror(mirror)
        assert annotations_of(mirror)[MIRROR] == annotations_of(mirror)["kubernetes.io/config.hash"]
        assert annotations_of(mirror)["kubernetes.io/config.source"] == "file"
        assert mirror["metadata"].get("ownerReferences") == [
            {"apiVersion": "v1", "kind": "Node", "name": NODE, "uid": "uid-node", "controller": True}
        ]
        assert pod_status(mirror)["podIP"] == "10.77.1.2"

    play(tmp_path, scenario)


def test_without_an_api_it_runs_and_changes_and_is_mirrored_later(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        world.api.down = True
        world.state()
        async with world.node():
            await world.until(lambda: {image for _, image in world.running()} == {"shop:1"})
            world.state(FILE.replace("shop:1", "shop:2"))
            await world.until(lambda: {image for _, image in world.running()} == {"shop:2"})
            assert not world.mirrors()

            world.api.down = False
            await world.until(world.is_served)

    play(tmp_path, scenario)


def test_a_change_replaces_pod_and_mirror_and_a_removal_ends_both(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        world.state()
        async with world.node() as static:
            await world.until(world.is_served)
            first = uid(world.mirrors()[0])
            world.state(FILE.replace("shop:1", "shop:2"))
            await world.until(lambda: world.is_served() and uid(world.mirrors()[0]) != first)
            assert {image for _, image in world.running()} == {"shop:2"}

            (world.directory / "web.yaml").unlink()
            await world.until(lambda: not world.mirrors() and not static.uids())
            assert not world.running()

    play(tmp_path, scenario)


def test_a_deleted_mirror_is_made_again_and_the_pod_runs_on(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        world.state()
        async with world.node():
            await world.until(world.is_served)
            before, first = world.running(), uid(world.mirrors()[0])
            world.api.ask_delete(first)
            await world.until(lambda: world.is_served() and uid(world.mirrors()[0]) != first)

            assert world.running() == before

    play(tmp_path, scenario)


def test_a_new_agent_restarts_nothing_and_removes_mirrors_of_files_that_went(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        world.state()
        async with world.node():
            await world.until(world.is_served)
        before, told = world.running(), [essence(one) for one in world.mirrors()]
        (world.directory / "other.yaml").write_text(FILE.replace("name: web", "name: other"))
        async with (
            world.node()
        ):  # Another pod is ready: by then the one that was there would have been restarted.
            await world.until(lambda: len(world.mirrors()) == 2 and all(map(is_ready, world.mirrors())))
        mirrors = [one for one in world.mirrors() if one["metadata"]["name"] == "web-n1"]
        assert before < world.running()
        assert len(world.running()) == 2
        assert [essence(one) for one in mirrors] == told

        (world.directory / "web.yaml").unlink()
        (world.directory / "other.yaml").unlink()
        async with world.node():
            await world.until(lambda: not world.mirrors() and not world.running())

    play(tmp_path, scenario)


def test_a_broken_file_is_passed_over_beside_one_that_is_well(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        (world.directory / "broken.yaml").write_text("kind: [")
        world.state()
        async with world.node():
            await world.until(world.is_served)

    play(tmp_path, scenario)
