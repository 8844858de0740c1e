"""`gitward master`: `up` without a node of its own; its flags are those of `up` that are not about a node."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from gitops.cli.up_command import up

OF_NODES: Final = frozenset(
    {
        "node",
        "node_name",
        "node_ip",
        "overlay",
        "service_proxy",
        "spare_sandboxes",
        "static_pods",
        "allowed_unsafe_sysctls",
        "ingress_http",
        "ingress_https",
        *("node", "node_name", "node_ip", "overlay", "ingress_http", "ingress_https"),
        *("docker_config", "image_gc_high", "image_gc_low"),
        *("eviction_hard", "eviction_pressure_transition_period"),
        *("eviction_soft", "eviction_soft_grace_period", "eviction_max_pod_grace_period"),
        *("system_reserved", "kube_reserved", "pod_max_pids"),
    }
)


def _without_a_node(command: Callable[..., None]) -> Callable[..., None]:
    @wraps(command)
    def run(*arguments: Any, **flags: Any) -> None:
        command(*arguments, **flags, node="none")

    signature = inspect.signature(command)
    kept = [one for name, one in signature.parameters.items() if name not in OF_NODES]
    run.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined] # What typer reads.
    run.__doc__ = "Run the master alone: nodes join it by `gitward agent`. SIGTERM stops it, pods run on."
    return run


master = _without_a_node(up)
