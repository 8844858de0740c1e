"""What people ask: `gitward get`, `why`, `diff` and `history`; the commands and their flags."""

from typing import Annotated

import typer

from gitops.cli import settings
from gitops.cli.flags import DataDir, Kubeconfig, Output, env

Namespace = Annotated[str, typer.Option("--namespace", "-n", envvar=env("NAMESPACE"), help="Whose objects.")]


def get(  # One parameter a flag.
    kind: Annotated[str, typer.Argument(help="pods, deploy, …; or KIND/NAME.")],
    name: Annotated[str, typer.Argument(help="[default: all]")] = "",
    namespace: Namespace = "default",
    all_namespaces: Annotated[
        bool, typer.Option("--all-namespaces", "-A", envvar=env("ALL_NAMESPACES"), help="Of all namespaces.")
    ] = False,
    at: Annotated[
        str, typer.Option("--at", envvar=env("AT"), help="As it was at a COMMIT or REVISION. [default: now]")
    ] = "",
    output: Annotated[
        str, typer.Option("--output", "-o", envvar=env("OUTPUT"), help="table, wide, yaml or json.")
    ] = "table",
    kubeconfig: Kubeconfig = None,
    data_dir: DataDir = None,
) -> None:
    """Show objects as kubectl does, now or in the past; the values of secrets are hidden."""
    from gitops.cli.get import run_get
    from gitops.cli.named import named

    where = "" if all_namespaces else namespace
    run_get(
        settings.kubeconfig_of(kubeconfig, data_dir), named(kind, name), namespace=where, at=at, output=output
    )


def why(
    what: Annotated[str, typer.Argument(metavar="KIND/NAME", help="An object, live or only declared.")],
    namespace: Namespace = "default",
    output: Output = "table",
    kubeconfig: Kubeconfig = None,
    data_dir: DataDir = None,
) -> None:
    """Say where an object comes from, who set which field, how it is, and what it waits for."""
    from gitops.cli.named import one_named
    from gitops.cli.why import run_why

    run_why(settings.kubeconfig_of(kubeconfig, data_dir), one_named(what), namespace=namespace, output=output)


def diff(
    at: Annotated[
        str,
        typer.Argument(
            metavar="[COMMIT]", help="Against what this commit stated: what going back would change."
        ),
    ] = "",
    source: Annotated[
        str, typer.Option("--source", envvar=env("SOURCE"), help="Which source. [default: every source]")
    ] = "",
    output: Output = "table",
    kubeconfig: Kubeconfig = None,
    data_dir: DataDir = None,
) -> None:
    """Show what is live against what git states, on the fields that it states."""
    from gitops.cli.diff import run_diff

    run_diff(settings.kubeconfig_of(kubeconfig, data_dir), at, source, output=output)


def history(
    what: Annotated[str, typer.Argument(metavar="[KIND/NAME]", help="Only what changed this object.")] = "",
    source: Annotated[
        str, typer.Option("--source", envvar=env("SOURCE"), help="Which source. [default: every source]")
    ] = "",
    namespace: Namespace = "default",
    output: Output = "table",
    kubeconfig: Kubeconfig = None,
    data_dir: DataDir = None,
) -> None:
    """Show the commits of sources, and when each was fetched, declared, live, scheduled and ready."""
    from gitops.cli.history import run_history
    from gitops.cli.named import one_named

    wanted = one_named(what) if what else None
    found = settings.kubeconfig_of(kubeconfig, data_dir)
    run_history(found, source, wanted, namespace=namespace, output=output)
