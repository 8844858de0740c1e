"""`gitward doctor`: its flags. What it does is in `doctor/`, imported when it runs."""

from typing import Annotated

import typer

from gitops.cli import settings
from gitops.cli.flags import DataDir, Output, env


def doctor(  # One parameter a flag; their defaults are those of `up`.
    role: Annotated[
        str, typer.Option(envvar=env("ROLE"), help="What this host is to be: up, master or agent.")
    ] = "up",
    data_dir: DataDir = None,
    listen: Annotated[str, typer.Option(envvar=env("LISTEN"), help="As `up`.")] = "127.0.0.1:6443",
    webhook_listen: Annotated[
        str, typer.Option(envvar=env("WEBHOOK_LISTEN"), help="As `up`.")
    ] = "127.0.0.1:8180",
    pod_cidr: Annotated[str, typer.Option(envvar=env("POD_CIDR"), help="As `up`.")] = "10.77.0.0/16",
    service_cidr: Annotated[str, typer.Option(envvar=env("SERVICE_CIDR"), help="As `up`.")] = "10.78.0.0/16",
    ingress_http: Annotated[str, typer.Option(envvar=env("INGRESS_HTTP"), help="As `up`.")] = "0.0.0.0:80",
    ingress_https: Annotated[str, typer.Option(envvar=env("INGRESS_HTTPS"), help="As `up`.")] = "0.0.0.0:443",
    output: Output = "table",
) -> None:
    """Check this host (kernel, Docker, firewall, ports, disk, clock …) and say what to do; changes nothing."""
    from gitops.cli.doctor.facts import Role, Wanted
    from gitops.cli.doctor.report import run_doctor

    told = settings.DoctorSettings(
        role=role,
        data_dir=settings.data_dir_of(data_dir),
        listen=listen,
        webhook_listen=webhook_listen,
        pod_cidr=pod_cidr,
        service_cidr=service_cidr,
        ingress_http=ingress_http,
        ingress_https=ingress_https,
    )
    run_doctor(Wanted(**{**told.model_dump(), "role": Role(told.role)}), output)
