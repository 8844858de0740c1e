"""What Docker answers, in our words. Pure. Source: Docker Engine API 1.41."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from agent.runtime.protocol import (
    LABEL_ATTEMPT,
    LABEL_CONTAINER,
    LABEL_IMAGE,
    LABEL_POD_NAME,
    LABEL_POD_NAMESPACE,
    LABEL_POD_UID,
    LABEL_SPARE,
    Capacity,
    ContainerState,
    EngineInfo,
    ImageState,
    Phase,
)

PLAIN_RUNTIMES: Final = ("runc", "io.containerd.runc.v2")  # As HostConfig names them.
CLAIMED_WORDS: Final = 7  # Of the name of a pod's container; that of a spare sandbox has fewer.


class Identity(NamedTuple):
    """Whose a container is; all '' for a sandbox that no pod has taken."""

    pod_uid: str = ""
    pod_name: str = ""
    pod_namespace: str = ""


def identity_of(labels: Mapping[str, str], name: str) -> Identity:
    """By its labels; of a sandbox that was made ahead by its name (with or without Docker's leading slash)."""
    if LABEL_SPARE not in labels:
        words = (labels.get(each, "") for each in (LABEL_POD_UID, LABEL_POD_NAME, LABEL_POD_NAMESPACE))
        return Identity(*words)
    found = name.lstrip("/").split("_")
    return Identity(found[4], found[2], found[3]) if len(found) == CLAIMED_WORDS else Identity()


def version_of(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def engine_info(found: Mapping[str, Any], api_version: str) -> EngineInfo:
    architectures = {"x86_64": "amd64", "aarch64": "arm64"}
    return EngineInfo(
        name="docker",
        version=found["ServerVersion"],
        api_version=api_version,
        operating_system=found["OperatingSystem"],
        kernel_version=found["KernelVersion"],
        architecture=architectures.get(found["Architecture"], found["Architecture"]),
        cpus=found["NCPU"],
        memory_bytes=found["MemTotal"],
        root_dir=found.get("DockerRootDir") or "",
        default_runtime=found.get("DefaultRuntime") or "",
        security=tuple(found.get("SecurityOptions") or ()),
    )


def phase_of(state: str) -> Phase:
    match state:
        case "created":
            return Phase.CREATED
        case "running" | "paused" | "restarting":
            return Phase.RUNNING
        case _:
            return Phase.EXITED


def container_state(found: Mapping[str, Any]) -> ContainerState:
    labels, state = found["Config"]["Labels"], found["State"]
    phase = phase_of(state["Status"])
    if phase is Phase.CREATED and state["Error"]:
        phase = Phase.EXITED  # Its start failed: an end with the engine's own code and words.
    created = moment(found["Created"])
    identity = identity_of(labels, found["Name"])
    return ContainerState(
        id=found["Id"],
        pod_uid=identity.pod_uid,
        pod_name=identity.pod_name,
        pod_namespace=identity.pod_namespace,
        container=labels.get(LABEL_CONTAINER, ""),
        attempt=int(labels.get(LABEL_ATTEMPT, "0")),
        phase=phase,
        pid=state["Pid"] if phase is Phase.RUNNING else 0,
        image=labels.get(LABEL_IMAGE, ""),
        image_id=found["Image"],
        exit_code=state["ExitCode"],
        oom_killed=state["OOMKilled"],
        error=state["Error"],
        created_at=created,
        started_at=moment(state["StartedAt"]),
        finished_at=(moment(state["FinishedAt"]) or created) if phase is Phase.EXITED else None,
        labels=labels,
        capacity=_capacity(found.get("HostConfig") or {}),
        stop_signal=found["Config"].get("StopSignal") or "",
        is_plain=_is_plain(found),
    )


def _is_plain(found: Mapping[str, Any]) -> bool:
    """Not where a runtime of another kind keeps the processes to itself, or the image names a signal of its own."""
    runtime = (found.get("HostConfig") or {}).get("Runtime") or ""
    return runtime in PLAIN_RUNTIMES and (found["Config"].get("StopSignal") or "") in ("", "SIGTERM", "15")


def _capacity(config: Mapping[str, Any]) -> Capacity:
    names = ("Memory", "NanoCpus", "CpuShares")
    return Capacity(*(int(config.get(name) or 0) for name in names))


def moment(text: str) -> datetime | None:
    """Docker's times have nine digits; the year 1 means never."""
    if text.startswith("0001"):
        return None
    head, _, rest = text.partition(".")
    digits = rest.rstrip("Z")[:6] if rest else "0"
    return datetime.fromisoformat(f"{head.rstrip('Z')}.{digits:0<6}+00:00")


def image_state(found: Mapping[str, Any]) -> ImageState:
    user, digests = found["Config"].get("User") or "", tuple(found.get("RepoDigests") or ())
    return ImageState(found["Id"], user, digests, found.get("Size") or 0)


def split(reference: str) -> tuple[str, str]:
    """Repository and tag or digest; `latest` where none is given."""
    if "@" in reference:
        repository, _, digest = reference.partition("@")
        return repository, digest
    head, _, tail = reference.rpartition(":")
    return (head, tail) if head and "/" not in tail else (reference, "latest")
