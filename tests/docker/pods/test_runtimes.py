"""A pod under another runtime of a real engine, and one that the engine lacks."""

from typing import Any

from docker.api.client import APIClient

from gitops.kinds.core.pod import Pod, is_ready
from tests.agent_world import a_pod
from tests.docker.engine import RUNTIME
from tests.docker.pods.conftest import Host
from tests.docker.pods.inside import FOREVER, Play, container, inside


def a_class(name: str, handler: str) -> Any:
    return {"kind": "RuntimeClass", "metadata": {"name": name}, "handler": handler}


def of_class(name: str, **fields: Any) -> Pod:
    return a_pod(name, containers=[container("app", FOREVER, **fields)], runtimeClassName=name)


def runtimes(host: Host, ids: list[str]) -> set[str]:
    api = APIClient(base_url=host.docker_host, version="1.41")
    try:
        return {api.inspect_container(one)["HostConfig"]["Runtime"] for one in ids}
    finally:
        api.close()


def test_sandbox_and_containers_run_under_the_classs_runtime_after_a_restart_too(play: Play) -> None:
    probe = {"exec": {"command": ["test", "-e", "/bin/sh"]}, "periodSeconds": 1}

    async def scenario(host: Host) -> None:
        await host.api.put_object(a_class("other", RUNTIME))
        async with host.agent(spares=1) as node:
            host.api.put(of_class("other", readinessProbe=probe))
            await node.until("uid-other", is_ready)
            found = await node.means.runtime.states("uid-other")

            assert runtimes(host, [one.id for one in found]) == {RUNTIME}
            assert len(found) == 2
            assert await inside(node, "uid-other", "hostname") == "other"

            # The class may be gone: what runs goes on as it began.
            del host.api.objects[("RuntimeClass", "other")]
            app = next(one for one in found if one.container == "app")
            await node.means.runtime.stop(app.id, grace_seconds=0)
            await node.until("uid-other", lambda pod: restarts(pod) == 1 and is_ready(pod), seconds=40)
            again = await node.means.runtime.states("uid-other")
            assert runtimes(host, [one.id for one in again]) == {RUNTIME}

    play(scenario)


def restarts(pod: Pod) -> int:
    return pod["status"]["containerStatuses"][0]["restartCount"]


def test_nothing_runs_under_the_default_runtime_instead(play: Play) -> None:
    async def scenario(host: Host) -> None:
        await host.api.put_object(a_class("absent", "runsc"))
        async with host.agent() as node:
            host.api.put(of_class("absent"))
            await node.until("uid-absent", lambda _: bool(host.api.events))

            assert host.api.events[0][1] == "FailedCreatePodSandBox"
            assert 'no runtime for "runsc" is configured' in host.api.events[0][2]
            assert await node.means.runtime.states("uid-absent") == []

    play(scenario)
