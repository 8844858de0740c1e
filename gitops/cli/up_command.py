"""`gitward up`: its flags. What they do is in `up.py`, imported when it runs."""

from pathlib import Path
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
    RenderBinDir,
    ServiceProxy,
    SpareSandboxes,
    StaticPods,
    SystemReserved,
    UnsafeSysctls,
    env,
)
from gitops.cli.seconds import seconds_of


def up(  # One parameter a flag: this is the border where flags become a value.
    context: typer.Context,
    repo: Annotated[str, typer.Option(envvar=env("REPO"), help="The repository to follow.")] = "",
    branch: Annotated[str, typer.Option(envvar=env("BRANCH"), help="[default: the remote's HEAD]")] = "",
    path: Annotated[str, typer.Option(envvar=env("PATH_IN_REPO"), help="A folder of the repository.")] = "",
    app: Annotated[
        list[str] | None,
        typer.Option(
            envvar=env("APP"), help="A folder that fails alone, or a pattern: apps/*. May be repeated."
        ),
    ] = None,
    require_fast_forward: Annotated[
        bool, typer.Option(envvar=env("REQUIRE_FAST_FORWARD"), help="Refuse a rewritten branch.")
    ] = False,
    allowed_signers_file: Annotated[
        Path | None,
        typer.Option(
            envvar=env("ALLOWED_SIGNERS_FILE"), help="Commits must be signed by one of these (SSH)."
        ),
    ] = None,
    gpg_keys_file: Annotated[
        Path | None, typer.Option(envvar=env("GPG_KEYS_FILE"), help="Or by one of these (GPG, public keys).")
    ] = None,
    source_name: Annotated[
        str, typer.Option(envvar=env("SOURCE_NAME"), help="What this source is called.")
    ] = "main",
    interval: Annotated[
        str, typer.Option(envvar=env("INTERVAL"), help="How often to look: 30s, 5m.")
    ] = "30s",
    data_dir: DataDir = None,
    age_key_file: Annotated[
        Path | None,
        typer.Option(envvar=env("AGE_KEY_FILE"), help="Opens encrypted files. [default: D/age.key]"),
    ] = None,
    listen: Annotated[str, typer.Option(envvar=env("LISTEN"), help="The API.")] = "127.0.0.1:6443",
    webhook_listen: Annotated[
        str, typer.Option(envvar=env("WEBHOOK_LISTEN"), help="Webhooks; plain HTTP. '': none.")
    ] = "127.0.0.1:8180",
    webhook_secret_file: Annotated[
        Path | None,
        typer.Option(envvar=env("WEBHOOK_SECRET_FILE"), help="One secret a line; none: all refused."),
    ] = None,
    webhook_secrets_dir: Annotated[
        Path | None,
        typer.Option(envvar=env("WEBHOOK_SECRETS_DIR"), help="A file a source, named as it, for it alone."),
    ] = None,
    forge_token_file: Annotated[
        Path | None,
        typer.Option(
            envvar=env("FORGE_TOKEN_FILE"), help="Commit statuses are posted with it. None: none are."
        ),
    ] = None,
    forge: Annotated[
        str,
        typer.Option(
            envvar=env("FORGE"),
            help="github, gitlab, gitea, bitbucket, bitbucket-server or azure. [default: by the URL]",
        ),
    ] = "",
    forge_url: Annotated[
        str, typer.Option(envvar=env("FORGE_URL"), help="The repository's page. [default: by the URL]")
    ] = "",
    allow_mac_only_encrypted: Annotated[
        bool,
        typer.Option(
            "--allow-mac-only-encrypted",
            envvar=env("ALLOW_MAC_ONLY_ENCRYPTED"),
            help="Take SOPS Secrets whose MAC does not cover their names.",
        ),
    ] = False,
    node: Annotated[
        str, typer.Option(envvar=env("NODE"), help="docker, simulated, simulated:N or none.")
    ] = "docker",
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
    tls_san: Annotated[
        list[str] | None,
        typer.Option(envvar=env("TLS_SAN"), help="A further name or address of the API. May be repeated."),
    ] = None,
    pod_cidr: Annotated[str, typer.Option(envvar=env("POD_CIDR"), help="Pods' addresses.")] = "10.77.0.0/16",
    service_cidr: Annotated[
        str, typer.Option(envvar=env("SERVICE_CIDR"), help="Services' addresses.")
    ] = "10.78.0.0/16",
    ingress_http: Annotated[
        str, typer.Option(envvar=env("INGRESS_HTTP"), help="Where ingress listens. '': nowhere.")
    ] = "0.0.0.0:80",  # Ingress is what the world is meant to reach.
    ingress_https: Annotated[
        str, typer.Option(envvar=env("INGRESS_HTTPS"), help="Where ingress listens with TLS. '': nowhere.")
    ] = "0.0.0.0:443",
    ssh_key_file: Annotated[
        Path | None, typer.Option(envvar=env("SSH_KEY_FILE"), help="For ssh URLs.")
    ] = None,
    known_hosts: Annotated[Path | None, typer.Option(envvar=env("KNOWN_HOSTS"), help="For ssh URLs.")] = None,
    git_credentials_file: Annotated[
        Path | None, typer.Option(envvar=env("GIT_CREDENTIALS_FILE"), help="git-credential-store's format.")
    ] = None,
    history: Annotated[
        str, typer.Option(envvar=env("HISTORY"), help="How far back the past can be asked for: 12h, 7d.")
    ] = "7d",
    history_revisions: Annotated[
        int, typer.Option(envvar=env("HISTORY_REVISIONS"), help="And how many revisions at most.")
    ] = 1_000_000,
    render_bin_dir: RenderBinDir = None,
    pod_security: Annotated[
        str,
        typer.Option(
            envvar=env("POD_SECURITY"), help="What pods may ask for: privileged, baseline or restricted."
        ),
    ] = "privileged",
    allow_source_network: Annotated[
        list[str] | None,
        typer.Option(
            envvar=env("ALLOW_SOURCE_NETWORK"),
            help="A network that sources stated by objects may reach, though it is this host's or link-local.",
        ),
    ] = None,
    allow_external_ips: Annotated[
        list[str] | None,
        typer.Option(
            envvar=env("ALLOW_EXTERNAL_IPS"),
            help="A range that Services may claim addresses of. May be repeated.",
        ),
    ] = None,
    node_port_range: Annotated[
        str, typer.Option(envvar=env("NODE_PORT_RANGE"), help="Ports of the nodes that Services get.")
    ] = "30000-32767",
) -> None:
    """Run master and one agent: follow a repository and make this host what it says. SIGTERM leaves pods running."""
    from gitops.cli.up import run_up

    run_up(
        settings.UpSettings(
            repo=repo,
            branch=branch,
            path=path,
            apps=tuple(app or ()),
            require_fast_forward=require_fast_forward,
            allowed_signers_file=allowed_signers_file,
            gpg_keys_file=gpg_keys_file,
            sources=context.obj or (),
            source_name=source_name,
            interval_seconds=seconds_of("--interval", interval),
            data_dir=settings.data_dir_of(data_dir),
            age_key_file=age_key_file,
            listen=listen,
            webhook_listen=webhook_listen,
            webhook_secret_file=webhook_secret_file,
            webhook_secrets_dir=webhook_secrets_dir,
            forge_token_file=forge_token_file,
            forge=forge,
            forge_url=forge_url,
            allow_mac_only_encrypted=allow_mac_only_encrypted,
            node=node,
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
            tls_sans=tuple(tls_san or ()),
            pod_cidr=pod_cidr,
            service_cidr=service_cidr,
            ingress_http=ingress_http,
            ingress_https=ingress_https,
            ssh_key_file=ssh_key_file,
            known_hosts=known_hosts,
            git_credentials_file=git_credentials_file,
            history_seconds=seconds_of("--history", history),
            history_revisions=history_revisions,
            render_bin_dir=render_bin_dir,
            pod_security=pod_security,
            allow_source_networks=tuple(allow_source_network or ()),
            allow_external_ips=tuple(allow_external_ips or ()),
            node_port_range=node_port_range,
        )
    )
