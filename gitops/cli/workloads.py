"""Why a workload is not healthy yet: its own words, and those of its worst pod, which has the reason."""

from typing import Final

from gitops.client import Client
from gitops.kinds.apps import Deployment, ReplicaSet
from gitops.kinds.core.event import EVENT
from gitops.kinds.core.pod import POD, Pod
from gitops.kinds.health import Health, health
from gitops.kinds.objects import is_going
from gitops.kinds.selectors import to_text

ASKED_MAX: Final = 20  # Workloads whose pods are asked for: a broken cluster's status shall come, too.


async def explained(client: Client, workload: Deployment | ReplicaSet) -> Health:
    """Its health, with the pod that holds it back. Raises what the client raises."""
    found = health(workload)
    if found.state == "Healthy":
        return found
    selector = to_text(workload["spec"]["selector"])
    pods = await client.list(POD, workload["metadata"].get("namespace"), label_selector=selector)
    worst = min((_rank(pod) for pod in pods.items if not is_going(pod)), default=None)
    if worst is None or worst[0] == _FINE:
        return found
    told = (
        await _warned(client, workload["metadata"].get("namespace"), worst[1]) if worst[0] == _WAITS else ""
    )
    return Health(
        found.state, f"{found.why}: pod {worst[1]}: {worst[2]}{f': {told}' if told not in worst[2] else ''}"
    )


async def _warned(client: Client, namespace: str | None, pod: str) -> str:
    """The newest Warning about a pod: what it waits for (a volume's Secret, say) stands nowhere else."""
    selector = f"involvedObject.kind=Pod,involvedObject.name={pod},type=Warning"
    events = (await client.list(EVENT, namespace, field_selector=selector)).items
    newest = max(
        events, key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "", default=None
    )
    return newest.get("message", "").strip() if newest else ""


_DEGRADED, _WAITS, _FINE = range(3)


def _rank(pod: Pod) -> tuple[int, str, str]:
    """The worst first, then by name: what is told does not jump between pods that are alike."""
    state, why = health(pod)
    rank = {"Degraded": _DEGRADED, "Progressing": _WAITS}.get(state, _FINE)
    return rank, pod["metadata"].get("name", ""), why
