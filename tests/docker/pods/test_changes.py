"""What changes in a pod while it runs: containers added to look into it, limits made larger and smaller."""

from typing import Any, cast

from gitops.kinds.core.pod import Pod, is_ready, pod_status
from tests.agent_world import a_pod
from tests.docker.engine import IMAGE
from tests.docker.pods.conftest import Host
from tests.docker.pods.inside import FOREVER, Play, container, inside, restarts, status_of

MEMORY = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true"


def put(host: Host, pod: Pod, **spec: Any) -> None:
    host.api.put(cast(Pod, {**pod, "spec": {**pod["spec"], **spec}}))


def ephemeral(pod: Pod) -> Any:
    """Its status, empty until there is one."""
    return next(iter(pod_status(pod).get("ephemeralContainerStatuses", ())), {})


def test_an_ephemeral_container_sees_the_processes_of_its_target(play: Play) -> None:
    async def scenario(host: Host) -> None:
        async with host.agent() as node:
            pod = host.api.put(a_pod(containers=[container("app", "exec sleep 4321")]))
            await node.until("uid-web", is_ready)
            look = {"name": "look", "image": IMAGE, "command": ["sh", "-c", "ps; sleep 2; exit 3"]}
            added = a_pod(containers=[], ephemeralContainers=[{**look, "targetContainerName": "app"}])
            put(host, pod, ephemeralContainers=added["spec"]["ephemeralContainers"])
            pod = await node.until("uid-web", lambda pod: "running" in ephemeral(pod).get("state", {}))
            assert "sleep 4321" in await inside(node, "uid-web", "ps", "look")
            assert (is_ready(pod), ephemeral(pod)["ready"]) == (True, False)

            pod = await node.until("uid-web", lambda pod: "terminated" in ephemeral(pod)["state"])
            assert ephemeral(pod)["state"]["terminated"]["exitCode"] == 3
            assert (restarts(pod), is_ready(pod)) == (0, True)
            host.api.ask_delete("uid-web")
            await node.until_gone("uid-web")

    play(scenario)


def test_limits_change_without_a_restart_and_by_one_where_that_is_asked_for(play: Play) -> None:
    async def scenario(host: Host) -> None:
        small, large = (
            {"limits": {"memory": size, "cpu": cpu}} for size, cpu in (("32Mi", "100m"), ("64Mi", "200m"))
        )
        by_restart = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
        stays = container("app", FOREVER, resources=small)
        restarting = container("other", FOREVER, resources=small, resizePolicy=by_restart)
        async with host.agent() as node:
            pod = host.api.put(a_pod(containers=[stays, restarting]))
            await node.until("uid-web", is_ready)
            assert await inside(node, "uid-web", MEMORY) == str(32 << 20)

            put(host, pod, containers=[{**one, "resources": large} for one in pod["spec"]["containers"]])
            pod = await node.until(
                "uid-web",
                lambda pod: (
                    restarts(pod, "other") == 1 and is_ready(pod) and status_of(pod).get("resources") == large
                ),
            )
            assert [await inside(node, "uid-web", MEMORY, name) for name in ("app", "other")] == [
                str(64 << 20)
            ] * 2
            assert restarts(pod) == 0
            assert not [one for one in pod_status(pod)["conditions"] if one["type"].startswith("PodResize")]

    play(scenario)
