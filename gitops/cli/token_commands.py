"""`gitward token …`: the commands and their flags; what they run is in `token.py`, imported when it is."""

from typing import Annotated

import typer

from gitops.cli import settings
from gitops.cli.flags import DataDir, Kubeconfig, Output, env
from gitops.cli.seconds import seconds_of

token = typer.Typer(help="Let nodes join.", no_args_is_help=True)


@token.command()
def create(
    ttl: Annotated[str, typer.Option(envvar=env("TTL"), help="How long it lets nodes in: 30m, 1h.")] = "1h",
    uses: Annotated[int, typer.Option(envvar=env("USES"), help="How many nodes may join by it.")] = 1,
    node: Annotated[
        str, typer.Option("--for", envvar=env("FOR"), help="The only node that may. [default: any]")
    ] = "",
    kubeconfig: Kubeconfig = None,
    data_dir: DataDir = None,
) -> None:
    """Print a join token; the master keeps its hash alone."""
    from gitops.cli.token import run_create

    run_create(
        settings.kubeconfig_of(kubeconfig, data_dir),
        ttl_seconds=seconds_of("--ttl", ttl),
        uses=uses,
        name=node,
    )


@token.command("list")
def list_(kubeconfig: Kubeconfig = None, data_dir: DataDir = None, output: Output = "table") -> None:
    """Show the tokens that are kept, without what they open."""
    from gitops.cli.token import run_list

    run_list(settings.kubeconfig_of(kubeconfig, data_dir), output)


@token.command()
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As `gitward token list` shows it.")],
    kubeconfig: Kubeconfig = None,
    data_dir: DataDir = None,
) -> None:
    """Take a token back; nodes that joined by it stay."""
    from gitops.cli.token import run_revoke

    run_revoke(settings.kubeconfig_of(kubeconfig, data_dir), token_id)
