"""Pods that mean harm, or know no measure: agent, host and a neighbour that serves meanwhile take none."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import docker
import orjson

from gitops.kinds.core.pod import Pod, is_ready, pod_phase, pod_status
from tests.agent_world import Node, a_pod
from tests.docker.pods.conftest import Host
from tests.docker.pods.inside import FOREVER, Play, container, inside, restarts, status_of

LOG_BYTES_MAX: Final = 50 << 20  # Five files of 10 MiB, as the engine is told.
WRITTEN_LINES: Final = 64_000  # Of 1 KiB: more than may stay.
FLOOD_BYTES: Final = 20_000_000
CANARY: Final = b"canary-4f1d2a"
PIDS_MAX: Final = 4096
SECONDS: Final = 90.0


@asynccontextmanager
async def beside_a_neighbour(host: Host) -> AsyncIterator[Node]:
    """Afterwards the neighbour has not restarted and still answers, and the agent still starts and ends pods."""
    serving = container(
        "app", f"mkdir -p /www; echo well > /www/index.html; httpd -p 8080 -h /www; {FOREVER}"
    )
    probed = {**serving, "readinessProbe": {"httpGet": {"port": 8080, "path": "/"}, "periodSeconds": 1}}
    async with host.agent() as node:
        host.api.put(a_pod("neighbour", containers=[probed]))
        await node.until("uid-neighbour", is_ready, seconds=SECONDS)
        yield node
        host.api.put(a_pod("later", containers=[container("app", FOREVER)]))
        await node.until("uid-later", is_ready, seconds=SECONDS)
        assert await inside(node, "uid-neighbour", "wget -q -O - http://127.0.0.1:8080/") == "well"
        assert restarts(host.api.pods["uid-neighbour"]) == 0
        for uid in list(host.api.pods):
            host.api.ask_delete(uid, 1)
            await node.until_gone(uid, seconds=SECONDS)
        assert await node.means.runtime.states() == []


def engine_of(host: Host) -> docker.DockerClient:
    return docker.DockerClient(base_url=host.docker_host)


def waits_for_ever(pod: Pod) -> bool:
    statuses = pod_status(pod).get("containerStatuses") or []
    return any(
        (one.get("state") or {}).get("waiting", {}).get("reason") == "CreateContainerConfigError"
        for one in statuses
    )


async def newest_id(node: Node, uid: str) -> str:
    return max(
        (s for s in await node.means.runtime.states(uid) if s.container == "app"), key=lambda s: s.attempt
    ).id


def test_paths_with_two_dots_are_refused_and_write_nowhere(play: Play) -> None:
    """As an API that checks nothing would hand them over: the agent refuses by itself."""

    def with_volume(volume: dict[str, Any], **mount: Any) -> dict[str, Any]:
        mounts = [{"name": "v", "mountPath": "/v", **mount}]
        return {
            "containers": [container("app", FOREVER, volumeMounts=mounts)],
            "volumes": [{"name": "v", **volume}],
        }

    async def scenario(host: Host) -> None:
        outside = host.home / "outside"
        await host.api.put_object({"kind": "ConfigMap", "metadata": {"name": "words"}, "data": {"k": "harm"}})
        items = [{"key": "k", "path": "../../../../outside"}]
        absolute = [{"key": "k", "path": str(outside)}]
        rows = {
            "subpath": with_volume({"emptyDir": {}}, subPath="../../../.."),
            "subpath-deep": with_volume({"emptyDir": {}}, subPath="a/../../.."),
            "hostpath": with_volume(
                {
                    "hostPath": {
                        "path": f"{host.home}/../{host.home.name}/outside",
                        "type": "DirectoryOrCreate",
                    }
                }
            ),
            "items": with_volume({"configMap": {"name": "words", "items": items}}),
            "absolute": with_volume({"configMap": {"name": "words", "items": absolute}}),
        }
        async with beside_a_neighbour(host) as node:
            for name, spec in rows.items():
                host.api.put(a_pod(name, **spec))
            for name in rows:
                pod = await node.until(
                    f"uid-{name}", lambda pod: pod_phase(pod) == "Pending", seconds=SECONDS
                )
                assert not any(one["ready"] for one in pod_status(pod).get("containerStatuses", [])), name
            await asyncio.sleep(3)
            for name in rows:
                assert pod_phase(host.api.pods[f"uid-{name}"]) == "Pending", name
            assert not outside.exists()

    play(scenario)


def test_links_that_a_pod_leaves_in_its_volumes_lead_nobody_out_of_them(play: Play) -> None:
    async def scenario(host: Host) -> None:
        canary = host.home / "canary"
        canary.mkdir()
        (canary / "secret").write_text("the host's")
        mounts = [{"name": "v", "mountPath": "/v"}]
        script = (
            f"ln -s {canary} /v/there; ln -s / /v/root; ln -s ../../../../../../../..{canary}/secret /v/up; "
        )
        app = container("app", script + FOREVER, volumeMounts=mounts)
        limit = {"emptyDir": {"sizeLimit": "1Mi"}}  # Its size is looked at, and must not be the host's.
        async with beside_a_neighbour(host) as node:
            host.api.put(a_pod("links", containers=[app], volumes=[{"name": "v", **limit}]))
            await node.until("uid-links", is_ready, seconds=SECONDS)
            assert await inside(node, "uid-links", "readlink /v/root") == "/"
            assert (await node.means.volumes.disk_use("uid-links"))["v"].size_bytes < 1 << 20
            host.api.ask_delete("uid-links", 1)
            await node.until_gone("uid-links", seconds=SECONDS)
            assert (canary / "secret").read_text() == "the host's"
            assert not (host.home / "pods" / "uid-links").exists()

    play(scenario)


def test_giant_and_binary_logs_fill_no_disk_and_break_no_reader(play: Play) -> None:
    async def scenario(host: Host) -> None:
        line = "L=0123456789abcdef; L=$L$L$L$L; L=$L$L$L$L$L$L$L$L$L$L$L$L$L$L$L$L; "
        giant = container("app", f"{line} yes $L | head -n {WRITTEN_LINES}; echo last; {FOREVER}")
        binary = container(
            "app", "head -c 300000 /dev/urandom; exit 3", terminationMessagePolicy="FallbackToLogsOnError"
        )
        endless = container("app", f"head -c 3000000 /dev/zero; {FOREVER}")  # No line end at all.
        async with beside_a_neighbour(host) as node:
            host.api.put(a_pod("giant", containers=[giant]))
            host.api.put(a_pod("binary", containers=[binary], restartPolicy="Never"))
            host.api.put(a_pod("endless", containers=[endless]))
            failed = await node.until("uid-binary", lambda pod: pod_phase(pod) == "Failed", seconds=SECONDS)
            message = status_of(failed)["state"]["terminated"]["message"]
            assert 0 < len(message.encode()) <= 4096
            orjson.dumps(message)  # It is text, and can be sent to the API.
            await node.until("uid-endless", is_ready, seconds=SECONDS)
            await node.until("uid-giant", is_ready, seconds=SECONDS)
            found = await newest_id(node, "uid-giant")

            async def last() -> bytes:
                chunks = node.means.runtime.logs(
                    found, follow=False, tail_lines=1, since=None, timestamps=False
                )
                return b"".join([chunk async for chunk in chunks])

            async with asyncio.timeout(SECONDS):
                while await last() != b"last\n":
                    await asyncio.sleep(0.5)
            with_logs = Path(engine_of(host).api.inspect_container(found)["LogPath"])
            kept = sum(path.stat().st_size for path in with_logs.parent.glob(f"{with_logs.name}*"))
            assert 10 << 20 < kept < LOG_BYTES_MAX + (11 << 20)
            ended = await newest_id(node, "uid-endless")  # The engine shows a piece when it is full.
            chunks = node.means.runtime.logs(
                ended, follow=False, tail_lines=None, since=None, timestamps=False
            )
            assert sum([len(chunk) async for chunk in chunks]) >= 2_900_000

    play(scenario)


def test_a_fork_bomb_ends_at_the_limit_of_its_pod(play: Play) -> None:
    async def scenario(host: Host) -> None:
        bomb = container("app", "while :; do sleep 1000 & done")
        async with beside_a_neighbour(host) as node:
            host.api.put(a_pod("bomb", containers=[bomb]))
            await node.until("uid-bomb", lambda pod: pod_phase(pod) == "Running", seconds=SECONDS)
            async with asyncio.timeout(SECONDS):
                while restarts(host.api.pods["uid-bomb"]) == 0:  # The shell gives up when it cannot fork.
                    await asyncio.sleep(0.3)
            own = engine_of(host).api.inspect_container(await newest_id(node, "uid-bomb"))
            assert own["HostConfig"]["PidsLimit"] == PIDS_MAX

    play(scenario)


def test_a_container_that_ignores_sigterm_is_gone_after_its_grace(play: Play) -> None:
    async def scenario(host: Host) -> None:
        deaf = {
            **container("app", ""),
            "command": ["sh", "-c", "trap '' TERM INT HUP; while :; do sleep 0.2; done"],
        }
        async with beside_a_neighbour(host) as node:
            host.api.put(a_pod("deaf", containers=[deaf], terminationGracePeriodSeconds=2))
            await node.until("uid-deaf", is_ready, seconds=SECONDS)
            begin = asyncio.get_running_loop().time()
            host.api.ask_delete("uid-deaf", 2)
            await node.until_gone("uid-deaf", seconds=SECONDS)
            assert asyncio.get_running_loop().time() - begin >= 2

    play(scenario)


def test_names_at_their_limits_and_five_hundred_variables_work(play: Play) -> None:
    async def scenario(host: Host) -> None:
        name = ".".join(("a" * 63, "b" * 63, "c" * 63, "d" * 61))
        env = [{"name": f"V{number}", "value": f"{number}" * 300} for number in range(499)]
        whole = {"name": "V499", "value": "$(V1)x"}
        long = "n" * 63
        app = container(
            long, FOREVER, env=[*env, whole], volumeMounts=[{"name": "v" * 63, "mountPath": "/" + "m" * 200}]
        )
        pod = a_pod(name, uid="0" * 36, containers=[app], volumes=[{"name": "v" * 63, "emptyDir": {}}])
        pod["metadata"]["namespace"] = "s" * 63
        pod["metadata"]["labels"] = {f"{'p' * 253}/{'k' * 63}": "l" * 63}
        async with beside_a_neighbour(host) as node:
            host.api.put(pod)
            await node.until("0" * 36, is_ready, seconds=SECONDS)
            assert len(name) == 253
            assert await inside(node, "0" * 36, "echo $V499", long) == "1" * 300 + "x"
            assert await inside(node, "0" * 36, "echo ${V498}", long) == "498" * 300
            assert await inside(node, "0" * 36, "hostname", long) == "a" * 63
            assert await inside(node, "0" * 36, f"ls -d /{'m' * 200}", long) == "/" + "m" * 200

    play(scenario)


def test_what_a_container_writes_over_its_own_system_files_reaches_no_other(play: Play) -> None:
    async def scenario(host: Host) -> None:
        files = "/etc/hosts /etc/resolv.conf /etc/hostname /dev/termination-log /dev/shm/x"
        flood = f"for f in {files}; do yes flood | head -c {FLOOD_BYTES} > $f; done; echo done > /state; "
        app = container("app", f"{flood} {FOREVER}")
        async with beside_a_neighbour(host) as node:
            hosts = await inside(node, "uid-neighbour", "cat /etc/hosts /etc/resolv.conf")
            host.api.put(a_pod("flood", containers=[app]))
            await node.until("uid-flood", is_ready, seconds=SECONDS)
            async with asyncio.timeout(SECONDS):
                while await inside(node, "uid-flood", "cat /state") != "done":
                    await asyncio.sleep(0.5)
            own = engine_of(host).api.inspect_container(await newest_id(node, "uid-flood"))
            assert Path(own["HostsPath"]).stat().st_size == FLOOD_BYTES
            assert "flood" not in hosts
            assert await inside(node, "uid-neighbour", "cat /etc/hosts /etc/resolv.conf") == hosts
            host.api.ask_delete("uid-flood", 1)
            await node.until_gone("uid-flood", seconds=SECONDS)
            assert not Path(own["HostsPath"]).exists()
            assert not (host.home / "pods" / "uid-flood").exists()

    play(scenario)


def test_a_secret_in_a_volume_is_in_no_answer_of_the_engine_and_on_no_disk(play: Play) -> None:
    """K7: whoever may ask the engine sees environment variables; files of a Secret lie on a tmpfs of the pod."""

    async def scenario(host: Host) -> None:
        secret = {
            "kind": "Secret",
            "metadata": {"name": "login"},
            "data": {"password": b64encode(CANARY).decode()},
        }
        await host.api.put_object(secret)
        mounts = [{"name": "login", "mountPath": "/login"}]
        app = container("app", FOREVER, volumeMounts=mounts)
        async with beside_a_neighbour(host) as node:
            host.api.put(
                a_pod(
                    "keeper", containers=[app], volumes=[{"name": "login", "secret": {"secretName": "login"}}]
                )
            )
            await node.until("uid-keeper", is_ready, seconds=SECONDS)
            assert await inside(node, "uid-keeper", "cat /login/password") == CANARY.decode()
            api = engine_of(host).api
            told = "".join(str(api.inspect_container(one["Id"])) for one in api.containers(all=True))
            assert CANARY.decode() not in told
            assert b64encode(CANARY).decode() not in told
            disk = host.home.stat().st_dev
            kept = [path for path in host.home.rglob("*") if path.is_file() and path.stat().st_dev == disk]
            assert [path for path in kept if CANARY in path.read_bytes()] == []
            assert any(
                CANARY in path.read_bytes() for path in host.home.rglob("password")
            )  # On another: a tmpfs.

    play(scenario)
