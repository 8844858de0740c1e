"""What `gitward down` removes of a node's containers and volumes; `teardown.py` removes its network."""

import asyncio
from typing import Final

from agent.runtime.docker import DockerRuntime
from agent.runtime.protocol import ContainerState
from agent.settings import NodeSettings
from agent.volumes.volumes import PodVolumes

CONTAINER_LINE: Final = "removed container"  # How the lines of `down_containers` begin.
VOLUMES_LINE: Final = "removed the volumes of pod"


async def down_containers(settings: NodeSettings) -> list[str]:
    """Removes every container of the cluster and every volume; the lines say what was done. For `gitward down`.

    Raises Unavailable if the engine does not answer: its containers are then still there.
    """
    done: list[str] = []
    runtime = await DockerRuntime.connect(settings.docker_host, cluster=settings.cluster)
    try:
        states = [*await runtime.states(), *await runtime.spares()]
        await asyncio.gather(*(runtime.remove(state.id) for state in states))
        done += [f"{CONTAINER_LINE} {one.container} of {_owner(one)}" for one in states]
    finally:
        await runtime.close()
    volumes = PodVolumes(settings.volumes_dir)
    for pod_uid in sorted(await volumes.uids()):
        await volumes.remove(pod_uid)
        done.append(f"{VOLUMES_LINE} {pod_uid}")
    return done


def _owner(state: ContainerState) -> str:
    return f"pod {state.pod_namespace}/{state.pod_name}" if state.pod_uid else "no pod yet"
