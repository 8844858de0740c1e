"""Commands in a container by runc: as confined as by Docker's API, word for word, and cheaper."""

import asyncio
from typing import Any

import pytest

from agent.runtime.docker_stream import DockerStream
from agent.runtime.protocol import ContainerState
from agent.runtime.runc import FAILURES_MAX, Runc
from gitops.kinds.core.pod import is_ready
from tests.agent_world import Node, a_pod
from tests.docker.pods.conftest import Host
from tests.docker.pods.inside import FOREVER, Play, container

CONFINEMENT = (
    "id; pwd; echo $COLOR $PATH; cat /proc/self/cgroup; readlink /proc/self/ns/net; readlink /proc/self/ns/mnt; cat "
    "/proc/self/oom_score_adj; while read -r name rest; do case $name in Cap*|Seccomp*|NoNewPrivs:|Groups:) "
    'echo "$name $rest";; esac; done < /proc/self/status; (touch /there; ulimit -a) 2>&1'
)
LIMITS = {"requests": {"cpu": "100m"}, "limits": {"memory": "64Mi", "cpu": "500m"}}
ROWS: dict[str, dict[str, Any]] = {
    "nothing stated": {},
    "a user, no privilege gained, no capability": {
        "securityContext": {
            "runAsUser": 1000,
            "runAsGroup": 2000,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
            "readOnlyRootFilesystem": True,
        }
    },
    "limits, environment, directory": {
        "resources": LIMITS,
        "env": [{"name": "COLOR", "value": "blue sky"}],
        "workingDir": "/tmp",
    },
    "no seccomp": {"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
    "a terminal": {"tty": True},
}


async def the_app(node: Node, uid: str = "uid-web") -> ContainerState:
    return next(one for one in await node.means.runtime.states(uid) if one.container == "app")


async def by_runc(app: ContainerState, *command: str, seconds: float = 20) -> tuple[int, str]:
    result = await Runc().exec(app.id, app.pid, command, timeout_seconds=seconds)
    assert result is not None
    return result.exit_code, result.output.decode()


async def by_api(host: Host, app: ContainerState, *command: str) -> tuple[int, str]:
    stream = DockerStream(host.docker_host, "1.41")
    try:
        result = await stream.exec(app.id, command, timeout_seconds=20)
    finally:
        await stream.close()
    return result.exit_code, result.output.decode()


def test_a_command_is_as_confined_as_by_the_api(play: Play) -> None:
    async def scenario(host: Host) -> None:
        async with host.agent() as node:
            for number, fields in enumerate(ROWS.values()):
                host.api.put(a_pod(f"p{number}", containers=[container("app", FOREVER, **fields)]))
            for number, name in enumerate(ROWS):
                await node.until(f"uid-p{number}", is_ready, seconds=60)
                app = await the_app(node, f"uid-p{number}")

                ours = await by_runc(app, "sh", "-c", CONFINEMENT)

                assert ours == await by_api(host, app, "sh", "-c", CONFINEMENT), name
                assert "CapEff:" in ours[1]
                assert "Seccomp:" in ours[1]

    play(scenario)


def test_its_exit_code_is_the_commands_and_both_outputs_are_one(play: Play) -> None:
    async def scenario(host: Host) -> None:
        async with host.agent() as node:
            host.api.put(a_pod(containers=[container("app", FOREVER)]))
            await node.until("uid-web", is_ready)
            app = await the_app(node)

            assert await by_runc(app, "sh", "-c", "echo out; echo err >&2; exit 3") == (3, "out\nerr\n")
            assert await by_runc(app, "sh", "-c", "exit 255") == (255, "")
            assert len((await by_runc(app, "sh", "-c", "yes | head -c 100000"))[1]) == 16 << 10

    play(scenario)


def test_what_takes_too_long_is_killed_with_what_it_has_started(play: Play) -> None:
    async def scenario(host: Host) -> None:
        async with host.agent() as node:
            host.api.put(a_pod(containers=[container("app", FOREVER)]))
            await node.until("uid-web", is_ready)
            app = await the_app(node)

            with pytest.raises(TimeoutError):
                await by_runc(app, "sh", "-c", "sleep 987 & sleep 986", seconds=2)

            async with asyncio.timeout(10):
                while "sleep 98" in (await by_runc(app, "ps"))[1]:
                    await asyncio.sleep(0.1)

    play(scenario)


def test_a_program_that_is_not_there_is_the_apis_to_tell(play: Play) -> None:
    async def scenario(host: Host) -> None:
        async with host.agent() as node:
            host.api.put(a_pod(containers=[container("app", FOREVER)]))
            await node.until("uid-web", is_ready)
            app, runc = await the_app(node), Runc()

            for _ in range(FAILURES_MAX):
                assert await runc.exec(app.id, app.pid, ("no-such",), timeout_seconds=20) is None

            assert await runc.exec(app.id, app.pid, ("true",), timeout_seconds=20) is None  # Asked no more.
            assert await Runc().exec("f" * 64, 1, ("true",), timeout_seconds=20) is None

    play(scenario)
