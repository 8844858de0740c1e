"""`gitward bench …`: the commands and their flags; what they run is in `bench/`, imported when it is."""

from pathlib import Path
from typing import Annotated

import typer

bench = typer.Typer(
    help="Benchmarks; each prints a ratio against a named peer or floor.", no_args_is_help=True
)


def _env(name: str) -> str:
    return f"GITWARD_{name}"


@bench.command("deploy")
def bench_deploy(
    pods: Annotated[int, typer.Option(envvar=_env("PODS"), help="How many pods one commit brings.")] = 30,
    runs: Annotated[int, typer.Option(envvar=_env("RUNS"), help="Pairs of runs; the median counts.")] = 3,
) -> None:
    """From a webhook to N Ready pods, against the same containers by the raw Docker API in the same run."""
    from gitops.cli.bench.deploy import run_bench

    run_bench(pods=pods, runs=runs)


@bench.command("node")
def bench_node(
    only: Annotated[
        str,
        typer.Option(envvar=_env("ONLY"), help="pods, spare, swarm, swarm-spare, idle, exec. [default: all]"),
    ] = "",
    pods: Annotated[int, typer.Option(envvar=_env("PODS"), help="How many pods are stored at once.")] = 30,
    runs: Annotated[int, typer.Option(envvar=_env("RUNS"), help="Pairs of runs; the median counts.")] = 3,
    spare_sandboxes: Annotated[
        int, typer.Option(envvar=_env("SPARE_SANDBOXES"), help="Of `swarm-spare`.")
    ] = 40,
) -> None:
    """A node against the raw Docker API and Swarm mode on the same engine; what 100 pods at rest cost."""
    from gitops.cli.bench.node import run_bench

    run_bench(only=only, pods=pods, runs=runs, spares=spare_sandboxes)


@bench.command("render")
def bench_render(
    apps: Annotated[int, typer.Option(envvar=_env("APPS"), help="How many overlays there are.")] = 100,
    runs: Annotated[int, typer.Option(envvar=_env("RUNS"), help="Pairs of runs; the median counts.")] = 3,
    render_bin_dir: Annotated[
        Path | None, typer.Option(envvar=_env("RENDER_BIN_DIR"), help="Where kubectl is. [default: PATH]")
    ] = None,
) -> None:
    """Overlays rendered at first and again when one is touched, against bare kubectl in the same run."""
    from gitops.cli.bench.render import run_bench

    run_bench(apps=apps, runs=runs, bin_dir=render_bin_dir)


@bench.command("scale")
def bench_scale(
    pods: Annotated[
        int, typer.Option(envvar=_env("PODS"), help="How many pods one scale-up brings.")
    ] = 10_000,
    nodes: Annotated[int, typer.Option(envvar=_env("NODES"), help="Simulated nodes.")] = 100,
    runs: Annotated[int, typer.Option(envvar=_env("RUNS"), help="Pairs of runs; the median counts.")] = 3,
) -> None:
    """From a Deployment to N Ready pods on simulated nodes, against as many rows in bare SQLite in the same run."""
    from gitops.cli.bench.scale import run_bench

    run_bench(pods=pods, nodes=nodes, runs=runs)


@bench.command("services")
def bench_services(
    runs: Annotated[int, typer.Option(envvar=_env("RUNS"), help="Pairs of runs; the median counts.")] = 3,
) -> None:
    """One endpoint changes among many services, against kube-proxy's shape of rules; DNS answers, against unbound's."""
    from gitops.cli.bench.services import run_bench

    run_bench(runs=runs)


@bench.command("store")
def bench_store(
    runs: Annotated[int, typer.Option(envvar=_env("RUNS"), help="Pairs of runs; the median counts.")] = 3,
    directory: Annotated[
        Path | None,
        typer.Option(envvar=_env("DIRECTORY"), help="On the disk to be measured. [default: TMPDIR]"),
    ] = None,
) -> None:
    """Transactions, one large commit, watchers, bytes, memory and start, against bare SQLite in the same run."""
    from gitops.cli.bench.store import run_bench

    run_bench(runs=runs, directory=directory)


@bench.command("sync")
def bench_sync(
    manifests: Annotated[
        int, typer.Option(envvar=_env("MANIFESTS"), help="How many manifests the large repository has.")
    ] = 10_000,
    apps: Annotated[int, typer.Option(envvar=_env("APPS"), help="How many apps come at first.")] = 1_000,
    runs: Annotated[int, typer.Option(envvar=_env("RUNS"), help="Pairs of runs; the median counts.")] = 3,
) -> None:
    """A commit of one file among many manifests, against few; a first sync of many apps, with some broken or none."""
    from gitops.cli.bench.sync import run_bench

    run_bench(manifests_total=manifests, apps=apps, runs=runs)
