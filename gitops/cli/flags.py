"""Flags that several commands have. Every flag has an environment variable."""

from pathlib import Path
from typing import Annotated

import typer


def env(name: str) -> str:
    """The variable of a flag."""
    return f"GITWARD_{name}"


DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", envvar=env("DATA_DIR"), help="All state lies here. [default: /var/lib/gitward]"
    ),
]
Kubeconfig = Annotated[
    Path | None,
    typer.Option(
        "--kubeconfig", envvar="KUBECONFIG", help="How to reach the master; else the data directory's."
    ),
]
RenderBinDir = Annotated[
    Path | None,
    typer.Option(
        "--render-bin-dir",
        envvar=env("RENDER_BIN_DIR"),
        help="Where kubectl and helm are. [default: D/bin, PATH]",
    ),
]
ServiceProxy = Annotated[
    str, typer.Option(envvar=env("SERVICE_PROXY"), help="What leads to services: auto, iptables or nftables.")
]
Overlay = Annotated[
    str, typer.Option(envvar=env("OVERLAY"), help="How pods reach other nodes: auto, direct or vxlan.")
]
UnsafeSysctls = Annotated[
    list[str] | None,
    typer.Option(
        "--allowed-unsafe-sysctls",
        envvar=env("ALLOWED_UNSAFE_SYSCTLS"),
        help="A sysctl that pods may set beside the safe ones, or a prefix with *. May be repeated.",
    ),
]
StaticPods = Annotated[
    Path | None,
    typer.Option(
        "--static-pods", envvar=env("STATIC_PODS"), help="Pods of this directory run without a master too."
    ),
]
SpareSandboxes = Annotated[
    int,
    typer.Option(envvar=env("SPARE_SANDBOXES"), help="How many sandboxes wait for new pods, some 5 MB each."),
]
DockerConfig = Annotated[
    Path | None,
    typer.Option(
        envvar=env("DOCKER_CONFIG"), help="Logins for registries, as Docker's config.json; read at each pull."
    ),
]
ImageGcHigh = Annotated[
    int,
    typer.Option(
        envvar=env("IMAGE_GC_HIGH"), help="Percent of the disk from which unused images are removed."
    ),
]
ImageGcLow = Annotated[
    int,
    typer.Option(envvar=env("IMAGE_GC_LOW"), help="Percent of the disk to which unused images are removed."),
]
EvictionHard = Annotated[
    str, typer.Option(envvar=env("EVICTION_HARD"), help="Below what pods are evicted, as the kubelet's flag.")
]
EvictionSoft = Annotated[
    str,
    typer.Option(
        envvar=env("EVICTION_SOFT"),
        help="Below what pods are evicted after a grace period, as the kubelet's.",
    ),
]
EvictionSoftGrace = Annotated[
    str,
    typer.Option(
        envvar=env("EVICTION_SOFT_GRACE_PERIOD"), help="Of each soft threshold: memory.available=1m30s,…"
    ),
]
EvictionPodGrace = Annotated[
    str,
    typer.Option(
        envvar=env("EVICTION_MAX_POD_GRACE_PERIOD"),
        help="What time a pod gets that goes for a soft threshold.",
    ),
]
SystemReserved = Annotated[
    str,
    typer.Option(envvar=env("SYSTEM_RESERVED"), help="What pods may not have: cpu=200m,memory=500Mi,…"),
]
KubeReserved = Annotated[
    str, typer.Option(envvar=env("KUBE_RESERVED"), help="The same once more, for Docker and the agent.")
]
PodMaxPids = Annotated[
    int, typer.Option(envvar=env("POD_MAX_PIDS"), help="Processes of each container of a pod.")
]
PressurePeriod = Annotated[
    str,
    typer.Option(
        envvar=env("EVICTION_PRESSURE_TRANSITION_PERIOD"),
        help="How long a node stays under pressure after its end.",
    ),
]
Output = Annotated[str, typer.Option("--output", "-o", envvar=env("OUTPUT"), help="table, json or yaml.")]
