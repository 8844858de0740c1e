"""A pod as a simulated node sees it: nothing answers there, so annotations stand in for its probes. Pure."""

from collections.abc import Mapping
from typing import Final, cast

from agent.probes.prober import FIELDS
from agent.runtime.fake import EXIT_CODE, PREFIX, READY_AFTER, RUN_FOR
from gitops.kinds.core.pod import Container, Pod, Probe, is_sidecar
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


def labels_of_simulation(pod: Pod, container: Container) -> Mapping[str, str]:
    """What the fake engine obeys: the pod's annotations; how it ends is told of the app containers.

    An init container ends well, and at once unless `run-for` says how long it takes; a sidecar stays.
    """
    told = {name: value for name, value in annotations_of(pod).items() if name.startswith(PREFIX)}
    if container in pod["spec"]["containers"]:
        return told
    started = {name: value for name, value in told.items() if name not in (RUN_FOR, EXIT_CODE)}
    return started if is_sidecar(container) else {**started, RUN_FOR: told.get(RUN_FOR, "0")}
