"""What we ask Docker for: our specifications as bodies of `POST /containers/create`. Pure.

Source: Docker Engine API 1.41. Fields for both cgroup versions are the same.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from agent.runtime import pause
from agent.runtime.protocol import (
    LABEL_ADDRESS,
    LABEL_ATTEMPT,
    LABEL_CLUSTER,
    LABEL_CONTAINER,
    LABEL_IMAGE,
    LABEL_POD_NAME,
    LABEL_POD_NAMESPACE,
    LABEL_POD_UID,
    LABEL_RUNTIME,
    LABEL_SANDBOX,
    LABEL_SPARE,
    SANDBOX,
    ContainerSpec,
    Mount,
    SandboxSpec,
)

# Set explicitly: the daemon's default may be one that we cannot read back, or one without a bound.
LOG_CONFIG: Final = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "5"}}
SANDBOX_OOM_SCORE_ADJ: Final = -998  # As the kubelet's: its death is the death of the whole pod.
UNSHARE_CAPABILITIES: Final = ("SYS_ADMIN", "SETUID", "SETGID")
HOSTNAME_MAX: Final = 64  # Of Linux.
OOM_SCORE_MIN: Final = -1000
CAP_SYS_RESOURCE: Final = 24


def oom_score_min(process_status: str) -> int:
    """What runc may set, by /proc/self/status: below zero only with CAP_SYS_RESOURCE, which some machines lack."""
    for line in process_status.splitlines():
        if line.startswith("CapBnd:"):
            return OOM_SCORE_MIN if int(line.split()[1], 16) >> CAP_SYS_RESOURCE & 1 else 0
    return OOM_SCORE_MIN


def log_since(moment: datetime) -> str:
    """Unix time in whole microseconds: through a float it may come out later than a line that was said then."""
    return f"{int(moment.replace(microsecond=0).timestamp())}.{moment.microsecond:06d}"


def container_name(cluster: str, spec: SandboxSpec | ContainerSpec) -> str:
    """A name that two makers of the same attempt share, so that one of them loses."""
    container, attempt = (spec.container, spec.attempt) if isinstance(spec, ContainerSpec) else (SANDBOX, 0)
    words = ("gitward", container, spec.pod_name, spec.pod_namespace, spec.pod_uid, str(attempt), cluster[:8])
    return re.sub(r"[^a-zA-Z0-9_.-]", "-", "_".join(words))


def spare_name(cluster: str, key: str) -> str:
    """Of a sandbox that no pod has yet: never a pod's, which has two words more."""
    return f"gitward_{SANDBOX}_spare_{key}_{cluster[:8]}"


def spare_hostname(labels: Mapping[str, str]) -> str:
    """What containers are called whose sandbox was a spare one; '' if it was made for its pod."""
    key = labels.get(LABEL_SPARE)
    return f"spare-{key}" if key else ""


def spare_body(
    cluster: str,
    key: str,
    address: str,
    image: str,
    *,
    oom_score_min: int = OOM_SCORE_MIN,
    unshares: bool = False,
) -> dict[str, Any]:
    """As any pod's sandbox; whose it is its name will tell."""
    spec = SandboxSpec("", "", "", f"spare-{key}", labels={LABEL_ADDRESS: address, LABEL_SPARE: key})
    return sandbox_body(cluster, spec, image, oom_score_min=oom_score_min, unshares=unshares)


def sandbox_body(
    cluster: str,
    spec: SandboxSpec,
    image: str,
    *,
    oom_score_min: int = OOM_SCORE_MIN,
    unshares: bool = False,
) -> dict[str, Any]:
    """The pause container, which holds network and IPC of the pod.

    `unshares`: the program makes its network namespace itself, and the engine lets it begin in the host's. Between the
    two nothing runs there but that program's first instructions. It then gives up the three capabilities for good.
    """
    sysctls = {name: value for name, value in spec.sysctls.items() if not unshares or not is_of_network(name)}
    return {
        "Image": image,
        # A container on the host's network has the host's name.
        **({} if spec.host_network else {"Hostname": spec.hostname[:HOSTNAME_MAX]}),
        **({"Cmd": [pause.UNSHARE], "User": "0:0"} if unshares else {}),
        "Labels": {
            **_labels(cluster, spec, SANDBOX, 0),
            **({LABEL_RUNTIME: spec.runtime} if spec.runtime else {}),
        },
        "HostConfig": {
            "NetworkMode": "host" if spec.host_network or unshares else "none",
            "IpcMode": "host" if spec.host_ipc else "shareable",
            **({"Runtime": spec.runtime} if spec.runtime else {}),
            "LogConfig": {"Type": "none", "Config": {}},
            "RestartPolicy": {"Name": "no"},
            "OomScoreAdj": max(SANDBOX_OOM_SCORE_ADJ, oom_score_min),
            "CpuShares": 2,
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            **({"CapAdd": list(UNSHARE_CAPABILITIES)} if unshares else {}),
            "SecurityOpt": ["no-new-privileges"],
            **({"Sysctls": sysctls} if sysctls else {}),
        },
    }


def is_of_network(sysctl: str) -> bool:
    """Whether it belongs to the network namespace, as `net.core.somaxconn` or `net/core/somaxconn`."""
    return sysctl.replace("/", ".").startswith("net.")


def container_body(
    cluster: str,
    spec: ContainerSpec,
    sandbox_id: str,
    *,
    runtime: str = "",
    oom_score_min: int = OOM_SCORE_MIN,
) -> dict[str, Any]:
    """An app or init container in its pod's sandbox. `runtime`: the sandbox's own; '': the engine's default."""
    limits, security = spec.limits, spec.security
    options = ["no-new-privileges"] if security.no_new_privileges else []
    if security.seccomp:
        options.append(f"seccomp={security.seccomp}")
    if security.apparmor:
        options.append(f"apparmor={security.apparmor}")
    host: dict[str, Any] = {
        "NetworkMode": f"container:{sandbox_id}",
        "IpcMode": f"container:{sandbox_id}",
        "PidMode": _pid_mode(spec, sandbox_id),
        **({"Runtime": runtime} if runtime else {}),
        "LogConfig": LOG_CONFIG,
        "RestartPolicy": {"Name": "no"},
        "Mounts": [_mount(one) for one in spec.mounts],
        "Memory": limits.memory_bytes,
        "MemorySwap": limits.memory_bytes,  # Equal: no swap. Docker's default is twice as much.
        "NanoCpus": limits.cpu_nano,
        "CpuShares": limits.cpu_shares,
        "PidsLimit": limits.pids_max,
        "OomScoreAdj": max(limits.oom_score_adj, oom_score_min),
        "Privileged": security.privileged,
        "ReadonlyRootfs": security.read_only_root,
        "CapAdd": list(security.capabilities_add),
        "CapDrop": list(security.capabilities_drop),
        "GroupAdd": list(security.groups),
        "SecurityOpt": options,
    }
    if security.unmasked_proc:
        host |= {"MaskedPaths": [], "ReadonlyPaths": []}
    body: dict[str, Any] = {
        "Image": spec.image,
        "Env": [f"{name}={value}" for name, value in spec.env],
        "WorkingDir": spec.working_dir,
        "User": security.user,
        "Tty": spec.tty,
        "OpenStdin": spec.stdin,
        "StdinOnce": spec.stdin_once,
        "Labels": {
            **_labels(cluster, spec, spec.container, spec.attempt),
            LABEL_IMAGE: spec.image,
            LABEL_SANDBOX: sandbox_id,
        },
        "HostConfig": host,
    }
    if spec.stop_signal:
        body["StopSignal"] = spec.stop_signal
    if spec.command:
        body["Entrypoint"] = list(spec.command)
    if spec.args:
        body["Cmd"] = list(spec.args)
    return body


def _pid_mode(spec: ContainerSpec, sandbox_id: str) -> str:
    """'': a namespace of its own."""
    if spec.host_pid:
        return "host"
    owner = sandbox_id if spec.share_processes else spec.processes_of
    return f"container:{owner}" if owner else ""


def _mount(mount: Mount) -> dict[str, Any]:
    if mount.options:
        driver = {"Name": "local", "Options": dict(mount.options)}
        made = {"NoCopy": True, "DriverConfig": driver}
        return {"Type": "volume", "Target": mount.target, "ReadOnly": mount.read_only, "VolumeOptions": made}
    body = {"Type": "bind", "Source": mount.source, "Target": mount.target, "ReadOnly": mount.read_only}
    options: dict[str, Any] = {"Propagation": mount.propagation} if mount.propagation else {}
    if mount.recursive:
        options["ReadOnlyForceRecursive"] = True
    return {**body, "BindOptions": options} if options else body


def _labels(
    cluster: str, spec: SandboxSpec | ContainerSpec, container: str, attempt: int
) -> Mapping[str, str]:
    return {
        **spec.labels,
        LABEL_CLUSTER: cluster,
        LABEL_POD_UID: spec.pod_uid,
        LABEL_POD_NAME: spec.pod_name,
        LABEL_POD_NAMESPACE: spec.pod_namespace,
        LABEL_CONTAINER: container,
        LABEL_ATTEMPT: str(attempt),
    }
