"""What a node refuses to run at all: the pod then fails at once, and its controller makes another one elsewhere. Pure.

Source: kubernetes/pkg/kubelet/sysctl (`safe_sysctls.go`, `allowlist.go`), `rejectPod`.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from gitops.kinds.core.pod import Pod

SAFE_SYSCTLS: Final = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)


IPC_SYSCTLS: Final = ("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")  # Of the IPC namespace.


class Rejection(NamedTuple):
    """`reason`: as in `status.reason`."""

    reason: str
    message: str


def rejection(pod: Pod, allowed: Sequence[str] = ()) -> Rejection | None:
    """Why this node does not take the pod; None: it does. Of a pod that runs already nobody asks.

    `allowed`: sysctls that its operator allows beside the safe ones; one that ends with `*` names all that begin so.
    """
    spec = pod["spec"]
    for sysctl in spec.get("securityContext", {}).get("sysctls", ()):
        name = sysctl["name"].replace("/", ".")  # As sysctl(8) has both.
        if name not in SAFE_SYSCTLS and not any(_covers(one.replace("/", "."), name) for one in allowed):
            return Rejection("SysctlForbidden", f'forbidden sysctl: "{name}" not allowlisted')
        if name.startswith("net.") and spec.get("hostNetwork"):
            return Rejection(
                "SysctlForbidden", f'forbidden sysctl: "{name}" not allowed with host net enabled'
            )
        if name.startswith(IPC_SYSCTLS) and spec.get("hostIPC"):
            return Rejection(
                "SysctlForbidden", f'forbidden sysctl: "{name}" not allowed with host ipc enabled'
            )
    return None


def _covers(allowed: str, name: str) -> bool:
    return name.startswith(allowed[:-1]) if allowed.endswith("*") else name == allowed
