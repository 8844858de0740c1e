"""What the API says of this node's pods: annotations that somebody writes make no other thing of a pod."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from agent.pods.following import follow_pods
from agent.pods.static_files import is_static
from agent.pods.static_pods import StaticPods
from agent.probes.checks import SimulatedChecks
from agent.runtime.fake import READY_AFTER, FakeRuntime
from gitops.client import Event
from gitops.kinds.core.pod import Pod, is_ready
from gitops.kinds.objects import with_meta
from tests.agent_world import NODE, Api, a_pod, running_node
from tests.unit.agent.pods.test_static_pods import OWNER, MirroringApi

APP = {"name": "app", "image": "shop:1"}


def now() -> datetime:
    return datetime.now(UTC)


def test_a_pod_that_is_given_the_annotation_of_a_mirror_is_neither_forgotten_nor_left_behind(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        told: asyncio.Queue[Event[Pod]] = asyncio.Queue()

        async def events() -> AsyncIterator[Event[Pod]]:
            while True:
                yield await told.get()

        api, mirrors = Api(), MirroringApi()
        static = StaticPods(tmp_path, NODE, mirrors, lambda: OWNER)
        async with running_node(FakeRuntime(now), SimulatedChecks(now, READY_AFTER), api) as node:
            following = asyncio.create_task(follow_pods(events(), node.pods, static))
            reflecting = asyncio.create_task(static.run(now, lambda _: asyncio.sleep(0.05)))
            pod = api.put(a_pod(containers=[APP]))
            told.put_nowait(Event("ADDED", pod))
            told.put_nowait(Event("SYNCED", None))
            pod = await node.until("uid-web", is_ready)

            marked = with_meta(pod, annotations={"kubernetes.io/config.mirror": "x"}, resourceVersion="900")
            mirrors.pods["uid-web"] = marked
            told.put_nowait(Event("MODIFIED", marked))
            await asyncio.sleep(0.3)
            assert "uid-web" in mirrors.pods

            api.pods.clear()
            told.put_nowait(Event("DELETED", marked))
            await node.until_gone("uid-web")
            for task in (following, reflecting):
                task.cancel()
            await asyncio.wait((following, reflecting))

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_pod_of_the_api_that_calls_itself_static_is_none(tmp_path: Path) -> None:
    """Else it would never be evicted, whatever the node lacks."""

    async def scenario() -> None:
        pod = with_meta(a_pod(containers=[APP]), annotations={"kubernetes.io/config.source": "file"})

        async def events() -> AsyncIterator[Event[Pod]]:
            yield Event("ADDED", pod)

        static = StaticPods(tmp_path, NODE, MirroringApi(), lambda: OWNER)
        async with running_node(FakeRuntime(now), SimulatedChecks(now, READY_AFTER), Api()) as node:
            await follow_pods(events(), node.pods, static)

            assert [is_static(one) for one in node.pods.pods()] == [False]

    asyncio.run(asyncio.wait_for(scenario(), 60))
