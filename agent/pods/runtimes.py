"""Under which of the engine's runtimes a pod runs: its RuntimeClass names the handler, the engine must have it.

Asked when a sandbox is made; its containers run as it does, whatever becomes of the class. Source: kubernetes/pkg/
kubelet/runtimeclass.
"""

from typing import Final

from agent.pods.means import Means
from agent.pods.refused import Refused
from agent.volumes.references import Reference
from gitops.kinds.core.pod import Pod

REASON: Final = "FailedCreatePodSandBox"


async def runtime_of(means: Means, pod: Pod) -> str:
    """'': the engine's default one. Raises Refused with what is missing; Unavailable while the class is not known."""
    name = pod["spec"].get("runtimeClassName")
    if not name:
        return ""
    await means.sources.known([Reference("RuntimeClass", "", name)])
    found = means.sources.runtime_class(name)
    if found is None:
        raise Refused(
            REASON,
            f'Failed to create pod sandbox: runtimeclasses.node.k8s.io "{name}" not found',
            passing=True,
        )
    handler = found["handler"]
    if not await means.runtime.has_runtime(handler):
        raise Refused(
            REASON,
            f'Failed to create pod sandbox: failed to get sandbox runtime: no runtime for "{handler}" is configured: '
            f'register it under "runtimes" in Docker\'s daemon.json on node {means.node.name} and reload dockerd '
            "(SIGHUP), or give the RuntimeClass a scheduling.nodeSelector of nodes that have it",
        )
    return handler
