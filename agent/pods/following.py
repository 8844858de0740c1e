"""The pods that the API has for this node, handed to those who look after them: workers, and mirrors to static pods."""

from collections.abc import AsyncIterator

from agent.pods.pods import Pods
from agent.pods.static_files import is_mirror, of_api
from agent.pods.static_pods import StaticPods
from gitops.client import Event
from gitops.kinds.core.pod import Pod
from gitops.kinds.objects import uid


async def follow_pods(events: AsyncIterator[Event[Pod]], pods: Pods, static: StaticPods) -> None:
    """For as long as they come. A pod that the node has taken stays one, whatever annotations somebody gives it later:
    a mirror is deleted from the API without any end of its containers."""
    here: set[str] = set()
    async for event in events:
        pod = event.object
        if pod is None:
            await static.begin(pods)
            pods.complete(here | static.uids())
        elif is_mirror(pod) and uid(pod) not in here:
            static.mirror(pod, gone=event.type == "DELETED")
        elif event.type == "DELETED":
            here.discard(uid(pod))
            pods.gone(uid(pod))
        else:
            here.add(uid(pod))
            pods.apply(of_api(pod))
