"""A pod as a simulated node sees it: nothing answers there, so annotations stand in for its probes. Pure."""

from collections.abc import Mapping
from typing import Final, cast

from agent.probes.prober import FIELDS
from agent.runtime.fake import PREFIX, READY_AFTER
from gitops.kinds.core.pod import Container, Pod, Probe
from gitops.kinds.objects import annotations_of

EVERY_SECOND: Final[Probe] = {
    "timeoutSeconds": 1,
    "periodSeconds": 1,
    "successThreshold": 1,
    "failureThreshold": 3,
}


def simulated(pod: Pod) -> Pod:
    """Ready at once, or as `ready-after` says; hooks, which would be run inside, are left out."""
    spec = pod["spec"]
    delayed = READY_AFTER in annotations_of(pod)
    changed = {"containers": [_bare(one, delayed=delayed) for one in spec["containers"]]}
    if inits := spec.get("initContainers"):
        changed["initContainers"] = [_bare(one, delayed=False) for one in inits]
    return cast(Pod, {**pod, "spec": {**spec, **changed}})


def _bare(container: Container, *, delayed: bool) -> Container:
    kept = {name: value for name, value in container.items() if name not in (*FIELDS.values(), "lifecycle")}
    return cast(Container, {**kept, "readinessProbe": EVERY_SECOND} if delayed else kept)


def labels_of_simulation(pod: Pod) -> Mapping[str, str]:
    """The annotations that the fake engine obeys."""
    return {name: value for name, value in annotations_of(pod).items() if name.startswith(PREFIX)}
