"""Attempts of a container: a probe's own grace, the logs of the attempt before, logs that are bounded."""

import asyncio

from agent.runtime.docker import DockerRuntime
from agent.runtime.protocol import Phase
from gitops.kinds.core.pod import is_ready
from tests.agent_world import a_pod
from tests.docker.engine import IMAGE
from tests.docker.pods.conftest import Host
from tests.docker.pods.inside import FOREVER, Play, container, restarts, status_of

LOG_BYTES_MAX = 10 << 20  # Of one file of the engine's; five are kept.
LOG_FILES_MAX = 5


def test_a_failed_liveness_probe_kills_within_its_own_grace(play: Play) -> None:
    async def scenario(host: Host) -> None:
        probe = {
            "exec": {"command": ["false"]},
            "periodSeconds": 1,
            "failureThreshold": 1,
            "terminationGracePeriodSeconds": 1,
        }
        deaf = {"name": "app", "image": IMAGE, "command": ["sh", "-c", f"trap '' TERM; {FOREVER}"]}
        async with host.agent() as node:
            app = {**deaf, "livenessProbe": probe}
            host.api.put(a_pod(containers=[app], terminationGracePeriodSeconds=600))
            pod = await node.until("uid-web", lambda pod: restarts(pod) >= 1, seconds=60)

            ended = status_of(pod)["lastState"]["terminated"]
            assert ended["exitCode"] == 137
            assert any(reason == "Killing" and "liveness" in text for _, reason, text in host.api.events)
            host.api.forget("uid-web")

    play(scenario)


def test_the_logs_of_the_attempt_before_are_there(play: Play) -> None:
    async def scenario(host: Host) -> None:
        script = "if test -e /w/again; then echo second; else echo first; touch /w/again; exit 3; fi; "
        mount = [{"name": "w", "mountPath": "/w"}]
        app = container("app", script + FOREVER, volumeMounts=mount)
        async with host.agent() as node:
            host.api.put(a_pod(containers=[app], volumes=[{"name": "w", "emptyDir": {}}]))
            await node.until("uid-web", lambda pod: restarts(pod) == 1 and is_ready(pod), seconds=60)

            states = await node.means.runtime.states("uid-web")
            attempts = sorted((s for s in states if s.container == "app"), key=lambda s: s.attempt)
            said = []
            for state in attempts:
                chunks = node.means.runtime.logs(
                    state.id, follow=False, tail_lines=None, since=None, timestamps=False
                )
                said.append(b"".join([chunk async for chunk in chunks]))
            assert said == [b"first\n", b"second\n"]
            assert [one.phase for one in attempts] == [Phase.EXITED, Phase.RUNNING]

    play(scenario)


def test_what_a_container_says_is_kept_up_to_a_bound(play: Play) -> None:
    async def scenario(host: Host) -> None:
        loud = "yes $(seq 1 300) | head -c 25000000; echo; echo the end; "
        async with host.agent() as node:
            host.api.put(a_pod(containers=[container("app", loud + FOREVER)]))
            await node.until("uid-web", is_ready)
            app = next(one for one in await node.means.runtime.states("uid-web") if one.container == "app")
            runtime = node.means.runtime
            assert isinstance(runtime, DockerRuntime)
            async with asyncio.timeout(90):
                while await last_line(runtime, app.id) != b"the end\n":
                    await asyncio.sleep(0.5)

            sizes = [path.stat().st_size for path in host.logs_of(app.id) if path.name.startswith(app.id)]
            assert 1 < len(sizes) <= LOG_FILES_MAX
            assert max(sizes) <= LOG_BYTES_MAX + (1 << 20)

    play(scenario)


async def last_line(runtime: DockerRuntime, container_id: str) -> bytes:
    chunks = runtime.logs(container_id, follow=False, tail_lines=1, since=None, timestamps=False)
    return b"".join([chunk async for chunk in chunks])


def test_a_container_is_stopped_by_its_own_signal(play: Play) -> None:
    async def scenario(host: Host) -> None:
        script = f"trap 'exit 7' USR1; trap '' TERM; {FOREVER}"
        app = {"name": "app", "image": IMAGE, "command": ["sh", "-c", script]}
        async with host.agent() as node:
            stopping = {"lifecycle": {"stopSignal": "SIGUSR1"}}
            host.api.put(a_pod(containers=[{**app, **stopping}], os={"name": "linux"}))
            pod = await node.until("uid-web", is_ready)
            assert status_of(pod)["stopSignal"] == "SIGUSR1"

            host.api.ask_delete("uid-web", 60)
            await node.until_gone("uid-web")
            last = host.api.statuses[-1][1]["containerStatuses"][0]
            assert last["state"]["terminated"]["exitCode"] == 7

    play(scenario)
