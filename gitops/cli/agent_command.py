"""`gitward agent`: its flags. What they do is in `agent.py`, imported when it runs."""

from typing import Annotated

import typer

from agent.runtime.protocol import PIDS_MAX
from agent.thresholds import EVICTION_HARD
from gitops.cli import settings
from gitops.cli.flags import (
    DataDir,
    DockerConfig,
    EvictionHard,
    EvictionPodGrace,
    EvictionSoft,
    EvictionSoftGrace,
    ImageGcHigh,
    ImageGcLow,
    KubeReserved,
    Overlay,
    PodMaxPids,
    PressurePeriod,
    ServiceProxy,
    SpareSandboxes,
    StaticPods,
    SystemReserved,
    UnsafeSysctls,
    env,
)
from gitops.cli.seconds import seconds_of


def agent(  # One parameter a flag.
    master: Annotated[
        str,
        typer.Option(envvar=env("MASTER"), help="https://HOST:PORT. [default: the one that was joined]"),
    ] = "",
    join: Annotated[
        str, typer.Option(envvar=env("JOIN"), help="What `gitward token create` printed; used once.")
    ] = "",
    data_dir: DataDir = None,
    node_name: Annotated[str, typer.Option(envvar=env("NODE_NAME"), help="[default: the host's name]")] = "",
    node_ip: Annotated[
        str,
        typer.Option(envvar=env("NODE_IP"), help="Where other nodes reach this one. [default: found out]"),
    ] = "",
    overlay: Overlay = "auto",
    static_pods: StaticPods = None,
    service_proxy: ServiceProxy = "auto",
    spare_sandboxes: SpareSandboxes = 0,
    allowed_unsafe_sysctls: UnsafeSysctls = None,
    docker_config: DockerConfig = None,
    image_gc_high: ImageGcHigh = 85,
    image_gc_low: ImageGcLow = 80,
    eviction_hard: EvictionHard = EVICTION_HARD,
    eviction_pressure_transition_period: PressurePeriod = "5m",
    eviction_soft: EvictionSoft = "",
    eviction_soft_grace_period: EvictionSoftGrace = "",
    eviction_max_pod_grace_period: EvictionPodGrace = "0s",
    system_reserved: SystemReserved = "",
    kube_reserved: KubeReserved = "",
    pod_max_pids: PodMaxPids = PIDS_MAX,
    ingress_http: Annotated[
        str, typer.Option(envvar=env("INGRESS_HTTP"), help="Where ingress listens. '': nowhere.")
    ] = "0.0.0.0:80",
    ingress_https: Annotated[
        str, typer.Option(envvar=env("INGRESS_HTTPS"), help="Where ingress listens with TLS. '': nowhere.")
    ] = "0.0.0.0:443",
) -> None:
    """Make this host a node of a cluster, and run it. SIGTERM leaves pods running; starting again restarts nothing."""
    from gitops.cli.agent import run_agent

    run_agent(
        settings.AgentSettings(
            master=master.rstrip("/"),
            join=join,
            data_dir=settings.data_dir_of(data_dir),
            node_name=node_name,
            node_ip=node_ip,
            overlay=overlay,
            static_pods=static_pods,
            service_proxy=service_proxy,
            spare_sandboxes=spare_sandboxes,
            allowed_unsafe_sysctls=tuple(allowed_unsafe_sysctls or ()),
            docker_config=docker_config,
            image_gc_high=image_gc_high,
            image_gc_low=image_gc_low,
            eviction_hard=eviction_hard,
            eviction_soft=eviction_soft,
            eviction_soft_grace_period=eviction_soft_grace_period,
            pod_grace_max_seconds=seconds_of(
                "--eviction-max-pod-grace-period", eviction_max_pod_grace_period
            ),
            system_reserved=system_reserved,
            kube_reserved=kube_reserved,
            pod_max_pids=pod_max_pids,
            pressure_seconds=seconds_of(
                "--eviction-pressure-transition-period", eviction_pressure_transition_period
            ),
            ingress_http=ingress_http,
            ingress_https=ingress_https,
        )
    )
