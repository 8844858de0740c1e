"""`gitward node …`: the commands and their flags; what they run is in `node.py` and `drain.py`, imported when it is."""

from typing import Annotated

import typer

from gitops.cli import settings
from gitops.cli.flags import DataDir, Kubeconfig, Output, env
from gitops.cli.seconds import seconds_of

node = typer.Typer(help="Look at nodes, empty and remove them.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="A node.")]
Timeout = Annotated[str, typer.Option(envvar=env("TIMEOUT"), help="How long to wait.")]


@node.command("list")
def list_(kubeconfig: Kubeconfig = None, data_dir: DataDir = None, output: Output = "table") -> None:
    """Show nodes: ready or not, where they are, their pods' addresses."""
    from gitops.cli.node import run_list

    run_list(settings.kubeconfig_of(kubeconfig, data_dir), output)


@node.command()
def cordon(name: Name, kubeconfig: Kubeconfig = None, data_dir: DataDir = None) -> None:
    """Let no new pod come to a node."""
    from gitops.cli.node import run_cordon

    run_cordon(settings.kubeconfig_of(kubeconfig, data_dir), name, closed=True)


@node.command()
def uncordon(name: Name, kubeconfig: Kubeconfig = None, data_dir: DataDir = None) -> None:
    """Let pods come to a node again."""
    from gitops.cli.node import run_cordon

    run_cordon(settings.kubeconfig_of(kubeconfig, data_dir), name, closed=False)


@node.command()
def drain(
    name: Name,
    timeout: Timeout = "5m",
    force: Annotated[
        bool, typer.Option("--force", envvar=env("FORCE"), help="Also pods that nobody will make again.")
    ] = False,
    delete_emptydir_data: Annotated[
        bool,
        typer.Option(
            "--delete-emptydir-data",
            envvar=env("DELETE_EMPTYDIR_DATA"),
            help="Also pods with an emptyDir, whose data ends with them.",
        ),
    ] = False,
    kubeconfig: Kubeconfig = None,
    data_dir: DataDir = None,
) -> None:
    """Cordon a node and evict its pods as their disruption budgets allow; pods of DaemonSets stay."""
    from gitops.cli.drain import DrainRules, run_drain

    rules = DrainRules(seconds_of("--timeout", timeout), force, delete_emptydir_data)
    run_drain(settings.kubeconfig_of(kubeconfig, data_dir), name, rules)


@node.command()
def delete(
    name: Name,
    drained: Annotated[
        bool, typer.Option("--drain", envvar=env("DRAIN"), help="Drain it first; the node has to be up.")
    ] = False,
    timeout: Timeout = "5m",
    kubeconfig: Kubeconfig = None,
    data_dir: DataDir = None,
) -> None:
    """Remove a node: its certificate counts no more. Run `gitward down` on the host to take its pods off it."""
    from gitops.cli.drain import DrainRules, run_drain
    from gitops.cli.node import run_delete

    where = settings.kubeconfig_of(kubeconfig, data_dir)
    if drained:
        run_drain(where, name, DrainRules(seconds_of("--timeout", timeout)))
    run_delete(where, name)


@node.command()
def leave(
    drained: Annotated[
        bool,
        typer.Option("--drain", envvar=env("DRAIN"), help="Drain it first, by the rights of --kubeconfig."),
    ] = False,
    timeout: Timeout = "5m",
    node_name: Annotated[
        str, typer.Option(envvar=env("NODE_NAME"), help="Which one, if several joined from here.")
    ] = "",
    kubeconfig: Kubeconfig = None,
    data_dir: DataDir = None,
) -> None:
    """On the node itself: end its pods, take its network apart, remove the node and its identity."""
    from gitops.cli.drain import DrainRules
    from gitops.cli.leave import run_leave

    rules = DrainRules(seconds_of("--timeout", timeout)) if drained else None
    run_leave(settings.data_dir_of(data_dir), node_name, kubeconfig=kubeconfig, drain=rules)
