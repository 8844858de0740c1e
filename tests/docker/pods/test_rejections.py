"""What a node refuses beside what it runs, and a sysctl that its operator allows, on a real engine."""

from typing import Any

from gitops.kinds.core.pod import Pod, is_ready, pod_condition, pod_phase, pod_status
from tests.agent_world import a_pod
from tests.docker.pods.conftest import Host
from tests.docker.pods.inside import FOREVER, Play, container, inside


def asking(name: str, cpu: str, **spec: Any) -> Pod:
    resources = {"requests": {"cpu": cpu}}
    ports = [{"containerPort": 80, "hostPort": 8099, "protocol": "TCP"}] if name != "large" else []
    return a_pod(name, containers=[container("app", FOREVER, resources=resources, ports=ports)], **spec)


def test_what_has_no_room_fails_and_runs_nothing_until_others_have_gone(play: Play) -> None:
    async def scenario(host: Host) -> None:
        async with host.agent() as node:
            host.api.put(asking("first", "1500m"))
            await node.until("uid-first", is_ready)
            host.api.put(asking("large", "600m"))
            host.api.put(asking("port", "100m"))
            for uid, reason in (("uid-large", "OutOfcpu"), ("uid-port", "NodePorts")):
                pod = await node.until(uid, lambda pod: pod_phase(pod) == "Failed")
                assert pod_status(pod)["reason"] == reason
                assert pod_status(pod)["message"].startswith("Pod was rejected: ")
                assert await node.means.runtime.states(uid) == []
            host.api.ask_delete("uid-first")
            await node.until_gone("uid-first")
            host.api.put(a_pod("again", containers=asking("large", "1500m")["spec"]["containers"]))
            await node.until("uid-again", is_ready)

    play(scenario)


def test_a_sysctl_that_the_operator_allows_is_set(play: Play) -> None:
    async def scenario(host: Host) -> None:
        sysctls = [{"name": "net.core.somaxconn", "value": "321"}]
        async with host.agent() as node:
            host.api.put(a_pod(containers=[container("app", FOREVER)], securityContext={"sysctls": sysctls}))
            pod = await node.until("uid-web", is_ready)

            assert await inside(node, "uid-web", "cat /proc/sys/net/core/somaxconn") == "321"
            ready = pod_condition(pod, "Ready")
            assert ready is not None
            assert ready.get("observedGeneration") == 1

    play(scenario)
