"""A pod that fills its emptyDir beyond its limit, on a real engine."""

from gitops.kinds.core.pod import is_ready, pod_phase, pod_status
from tests.agent_world import a_pod
from tests.docker.pods.conftest import Host
from tests.docker.pods.inside import FOREVER, Play, container


def test_a_pod_beyond_its_empty_dirs_limit_is_evicted_and_its_neighbour_is_not(play: Play) -> None:
    async def scenario(host: Host) -> None:
        mounts = [{"name": "work", "mountPath": "/scratch"}]
        volumes = [{"name": "work", "emptyDir": {"sizeLimit": "1Mi"}}]
        greedy = container(
            "app", f"head -c 4000000 /dev/zero > /scratch/file; {FOREVER}", volumeMounts=mounts
        )
        modest = container("app", f"head -c 4000 /dev/zero > /scratch/file; {FOREVER}", volumeMounts=mounts)
        async with host.agent() as node:
            host.api.put(a_pod("greedy", containers=[greedy], volumes=volumes))
            host.api.put(a_pod("modest", containers=[modest], volumes=volumes))
            pod = await node.until("uid-greedy", lambda pod: pod_phase(pod) == "Failed", seconds=60)

            assert pod_status(pod)["reason"] == "Evicted"
            message = 'Usage of EmptyDir volume "work" exceeds the limit "1Mi". '
            assert pod_status(pod)["message"] == message
            assert ("greedy", "Evicted", message) in host.api.events
            await node.until("uid-modest", is_ready)

    play(scenario)
