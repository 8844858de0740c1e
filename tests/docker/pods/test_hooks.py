"""postStart and preStop of every kind, on a real engine."""

import asyncio
from collections.abc import Awaitable, Callable

from gitops.kinds.core.pod import is_ready, pod_phase
from tests.agent_world import a_pod
from tests.docker.pods.conftest import Host
from tests.docker.pods.inside import FOREVER, Play, container, inside, restarts, status_of


def lifecycle(event: str, **action: object) -> dict[str, object]:
    return {"lifecycle": {event: action}}


def shell(script: str) -> dict[str, object]:
    return {"command": ["sh", "-c", script]}


def events_of(host: Host, reason: str) -> list[str]:
    return [message for _, one, message in host.api.events if one == reason]


def test_a_container_runs_and_is_ready_only_when_its_post_start_hook_is_done(play: Play) -> None:
    async def scenario(host: Host) -> None:
        hook = lifecycle("postStart", exec=shell("while ! test -e /tmp/go; do sleep 0.1; done"))
        async with host.agent() as node:
            host.api.put(a_pod(containers=[container("app", FOREVER, **hook), container("side", FOREVER)]))
            await node.until(
                "uid-web",
                lambda pod: restarts(pod) == 0 and "running" in status_of(pod, "side")["state"],
            )
            await asyncio.sleep(1.5)
            await inside(node, "uid-web", "test -e /")
            pod = host.api.pods["uid-web"]
            assert status_of(pod)["state"] == {"waiting": {"reason": "ContainerCreating"}}
            assert (pod_phase(pod), is_ready(pod)) == ("Pending", False)

            await inside(node, "uid-web", "touch /tmp/go")
            pod = await node.until("uid-web", is_ready)
            assert "running" in status_of(pod)["state"]

    play(scenario)


def test_a_post_start_hook_that_fails_kills_the_container(play: Play) -> None:
    async def scenario(host: Host) -> None:
        hook = lifecycle("postStart", exec=shell("echo no; exit 3"))
        async with host.agent() as node:
            host.api.put(a_pod(containers=[container("app", FOREVER, **hook)]))
            await node.until("uid-web", lambda pod: restarts(pod) >= 1)

            assert events_of(host, "FailedPostStartHook")[0] == "PostStartHook failed: exit code 3: no\n"

    play(scenario)


def test_a_pod_is_deleted_though_its_post_start_hook_never_ends(play: Play) -> None:
    async def scenario(host: Host) -> None:
        hook = lifecycle("postStart", exec=shell("sleep 600"))
        async with host.agent() as node:
            host.api.put(a_pod(containers=[container("app", FOREVER, **hook)]))
            await node.until("uid-web", lambda pod: pod_phase(pod) == "Pending")
            async with asyncio.timeout(10):
                while not events_of(host, "Started"):
                    await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)
            host.api.ask_delete("uid-web")
            await node.until_gone("uid-web", seconds=15)

    play(scenario)


def test_an_http_hook_is_asked_of_the_pod_or_of_another_host(play: Play) -> None:
    async def scenario(host: Host) -> None:
        mounts = [{"name": "out", "mountPath": "/out"}]
        volumes = [{"name": "out", "hostPath": {"path": str(host.home / "out"), "type": "DirectoryOrCreate"}}]
        listener = container("app", f"nc -l -p 8080 > /out/asked < /dev/null; {FOREVER}", volumeMounts=mounts)
        async with host.agent() as node:
            host.api.put(a_pod("ears", containers=[listener], volumes=volumes))
            ears = await node.until("uid-ears", is_ready)
            hook = {"port": 8080, "path": "/bye?x=1", "host": ears["status"]["podIP"]}
            hook["httpHeaders"] = [{"name": "X-From", "value": "hook"}]
            host.api.put(a_pod(containers=[container("app", FOREVER, **lifecycle("preStop", httpGet=hook))]))
            await node.until("uid-web", is_ready)
            host.api.ask_delete("uid-web")
            await node.until_gone("uid-web", seconds=15)

            asked = (host.home / "out" / "asked").read_text()
            assert asked.startswith("GET /bye?x=1 HTTP/1.1\n")
            assert "User-Agent: kube-lifecycle/1.35\n" in asked
            assert "X-From: hook\n" in asked

    play(scenario)


def _stops_after(
    action: dict[str, object], check: Callable[[Host, float], None]
) -> Callable[[Host], Awaitable[None]]:
    """Deletes a pod with this preStop hook and looks at what was left, and how long it took."""

    async def scenario(host: Host) -> None:
        volumes = [{"name": "out", "hostPath": {"path": str(host.home / "out"), "type": "DirectoryOrCreate"}}]
        script = "trap 'echo TERM >> /out/log; exit 0' TERM; while :; do sleep 0.1; done"
        app = {**container("app", ""), "command": ["sh", "-c", script], **lifecycle("preStop", **action)}
        app["volumeMounts"] = [{"name": "out", "mountPath": "/out"}]
        async with host.agent() as node:
            host.api.put(a_pod(containers=[app], volumes=volumes))
            await node.until("uid-web", is_ready)
            await asyncio.sleep(0.3)
            began = asyncio.get_running_loop().time()
            host.api.ask_delete("uid-web")
            await node.until_gone("uid-web", seconds=20)
            check(host, asyncio.get_running_loop().time() - began)

    return scenario


def test_a_pre_stop_command_runs_before_the_signal(play: Play) -> None:
    def check(host: Host, _: float) -> None:
        assert (host.home / "out" / "log").read_text() == "hook\nTERM\n"

    play(_stops_after({"exec": shell("sleep 0.5; echo hook >> /out/log")}, check))


def test_a_pre_stop_sleep_holds_the_signal_back(play: Play) -> None:
    def check(host: Host, seconds: float) -> None:
        assert (host.home / "out" / "log").read_text() == "TERM\n"
        assert seconds > 2

    play(_stops_after({"sleep": {"seconds": 2}}, check))


def test_a_pre_stop_hook_has_the_grace_and_the_process_two_seconds_more(play: Play) -> None:
    """The grace is five seconds: the hook is cut off then, and the process still hears SIGTERM."""

    def check(host: Host, seconds: float) -> None:
        assert (host.home / "out" / "log").read_text() == "TERM\n"
        assert 5 <= seconds < 12

    play(_stops_after({"exec": shell("sleep 600; echo hook >> /out/log")}, check))


def test_a_pre_stop_hook_that_fails_is_told_and_stops_nothing(play: Play) -> None:
    def check(host: Host, _: float) -> None:
        assert events_of(host, "FailedPreStopHook") == ["PreStopHook failed: exit code 7: "]
        assert (host.home / "out" / "log").read_text() == "TERM\n"

    play(_stops_after({"exec": shell("exit 7")}, check))
