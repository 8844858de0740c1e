"""`gitward`: the commands and their flags. Every flag has an environment variable and a key in `gitward.yaml`.

Exit codes: 0 done, 1 failed, 3 done but for deletions that are held, 64 wrong usage. An error is one line on stderr.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gitops.cli import (
    agent_command,
    bench_commands,
    doctor_command,
    master_command,
    node_commands,
    questions,
    secret_commands,
    settings,
    token_commands,
)
from gitops.cli.flags import DataDir, Kubeconfig, Output, RenderBinDir, env
from gitops.cli.seconds import seconds_of
from gitops.cli.sources import SOURCES_KEY, sources_of
from gitops.cli.up_command import up
from gitops.cli.usage import DeletionsHeld, WrongUsage
from gitops.kinds.errors import GitwardError
from gitops.kinds.printable import shown_text

EXIT_FAILED: Final = 1
EXIT_HELD: Final = 3
EXIT_USAGE: Final = 64  # EX_USAGE of sysexits.h.
EXIT_INTERRUPTED: Final = 130  # As a shell says for SIGINT.

app = typer.Typer(
    name="gitward",
    help="An orchestrator for Docker hosts whose API is a git repository.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(secret_commands.secret, name="secret")
app.add_typer(node_commands.node, name="node")
app.add_typer(token_commands.token, name="token")
app.add_typer(bench_commands.bench, name="bench")


@app.callback()
def configure(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option("--config", envvar=env("CONFIG"), help="A gitward.yaml. [default: ./gitward.yaml]"),
    ] = None,
) -> None:
    """Flags that a file states are defaults: an environment variable or a flag wins over them."""
    commands = getattr(context.command, "commands", {})
    stated = settings.stated_in(config, frozenset(_flags_of(commands)) | {SOURCES_KEY})
    context.obj = sources_of(stated.pop(SOURCES_KEY, []))
    context.default_map = _default_map(commands, stated)


def _flags_of(commands: Mapping[str, Any]) -> Iterator[str]:
    for command in commands.values():
        yield from (param.name for param in command.params if param.param_type_name == "option")
        yield from _flags_of(getattr(command, "commands", {}))


def _default_map(commands: Mapping[str, Any], stated: Mapping[str, Any]) -> dict[str, Any]:
    """The file's flags for every command; a command takes those that it has."""
    return {
        name: {**stated, **_default_map(getattr(command, "commands", {}), stated)}
        for name, command in commands.items()
    }


app.command()(up)
app.command("master")(master_command.master)
app.command()(agent_command.agent)
app.command()(doctor_command.doctor)


@app.command()
def down(data_dir: DataDir = None) -> None:
    """Remove every container, process, link, route, rule and mount that `up` made; the data stays."""
    from gitops.cli.down import run_down

    run_down(settings.data_dir_of(data_dir))


@app.command()
def status(kubeconfig: Kubeconfig = None, data_dir: DataDir = None, output: Output = "table") -> None:
    """Sources, their commits and what holds them back; nodes; workloads that are not healthy."""
    from gitops.cli.status import run_status

    run_status(settings.kubeconfig_of(kubeconfig, data_dir), output)


@app.command()
def sync(
    source: Annotated[str, typer.Argument(help="[default: every source]")] = "",
    wait: Annotated[
        bool,
        typer.Option("--wait", envvar=env("WAIT"), help="Until the commit is live and healthy, or failed."),
    ] = False,
    timeout: Annotated[str, typer.Option(envvar=env("TIMEOUT"), help="How long to wait.")] = "5m",
    kubeconfig: Kubeconfig = None,
    data_dir: DataDir = None,
) -> None:
    """Look at the repository now."""
    from gitops.cli.sync import run_sync

    run_sync(
        settings.kubeconfig_of(kubeconfig, data_dir),
        source,
        wait=wait,
        timeout_seconds=seconds_of("--timeout", timeout),
    )


@app.command()
def check(
    paths: Annotated[list[Path], typer.Argument(help="Files or folders.")],
    strict: Annotated[
        bool, typer.Option("--strict", envvar=env("STRICT"), help="Warnings are errors.")
    ] = False,
    app: Annotated[
        list[str] | None,
        typer.Option("--app", envvar=env("APP"), help="As `up` has it: folders that fail alone, or apps/*."),
    ] = None,
    render_bin_dir: RenderBinDir = None,
) -> None:
    """Check manifests without a master: what would be refused, and what is not acted on yet."""
    from gitops.cli.check import run_check

    run_check(paths, strict=strict, render_bin_dir=render_bin_dir, apps=tuple(app or ()))


@app.command()
def kubeconfig(kubeconfig: Kubeconfig = None, data_dir: DataDir = None) -> None:
    """Print the administrator's kubeconfig."""
    typer.echo(settings.kubeconfig_of(kubeconfig, data_dir).read_text(), nl=False)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="A new file.")],
    data_dir: DataDir = None,
) -> None:
    """Copy the store to a file, while the master runs or not."""
    from gitops.cli.backup import run_backup

    run_backup(settings.data_dir_of(data_dir), file)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="What `gitward backup` wrote.")],
    data_dir: DataDir = None,
) -> None:
    """Put a backup in the place of the store; the master must not run."""
    from gitops.cli.backup import run_restore

    run_restore(settings.data_dir_of(data_dir), file)


@app.command()
def rollback(  # One parameter a flag.
    commit: Annotated[str, typer.Argument(help="The commit to undo. [default: the live one]")] = "",
    to: Annotated[
        str, typer.Option("--to", envvar=env("TO"), help="Make the tree equal to this commit's instead.")
    ] = "",
    push: Annotated[
        bool,
        typer.Option("--push", envvar=env("PUSH"), help="Push the new commit with your git credentials."),
    ] = False,
    source: Annotated[
        str, typer.Option("--source", envvar=env("SOURCE"), help="Which source. [default: the only one]")
    ] = "",
    kubeconfig: Kubeconfig = None,
    data_dir: DataDir = None,
) -> None:
    """Make one new commit that undoes another; shows what it changes."""
    from gitops.cli.rollback import run_rollback

    run_rollback(settings.kubeconfig_of(kubeconfig, data_dir), source, commit=commit, to=to, push=push)


for question in (questions.get, questions.why, questions.diff, questions.history):
    app.command()(question)


def main() -> None:
    """The entry point: errors become one line and an exit code here, and only here."""
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except typer.TyperException as error:
        typer.echo(f"{error.format_message()}\nSee `gitward --help`.", err=True)
        sys.exit(EXIT_USAGE)
    except typer.Abort:
        sys.exit(EXIT_INTERRUPTED)
    except WrongUsage as error:
        _complain(error)
        sys.exit(EXIT_USAGE)
    except DeletionsHeld as error:
        _complain(error)
        sys.exit(EXIT_HELD)
    except GitwardError as error:
        _complain(error)
        sys.exit(EXIT_FAILED)
    except BrokenPipeError:  # `gitward status | head`
        sys.exit(EXIT_FAILED)


def _complain(error: GitwardError) -> None:
    """What others wrote (git, a manifest, a server) may stand in it."""
    typer.echo(shown_text(str(error)), err=True)


if __name__ == "__main__":
    main()
