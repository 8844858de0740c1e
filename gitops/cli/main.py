"""`gitward`: the commands and their flags. Every flag has an environment variable and a key in `gitward.yaml`.

Exit codes: 0 done, 1 failed, 64 wrong usage. An error is one line on stderr.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gitops.cli import bench_commands, questions, secret_commands, settings
from gitops.cli.flags import DataDir, Kubeconfig, Output, env
from gitops.cli.usage import WrongUsage
from gitops.kinds.errors import GitwardError
from gitops.kinds.printable import shown_text

EXIT_FAILED: Final = 1
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
app.add_typer(bench_commands.bench, name="bench")


RenderBinDir = Annotated[
    Path | None,
    typer.Option(
        "--render-bin-dir",
        envvar=env("RENDER_BIN_DIR"),
        help="Where kubectl and helm are. [default: D/bin, PATH]",
    ),
]


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
    stated = settings.stated_in(config, frozenset(_flags_of(commands)))
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


@app.command()
def up(  # One parameter a flag: this is the border where flags become a value.
    repo: Annotated[str, typer.Option(envvar=env("REPO"), help="The repository to follow.")] = "",
    branch: Annotated[str, typer.Option(envvar=env("BRANCH"), help="[default: the remote's HEAD]")] = "",
    path: Annotated[str, typer.Option(envvar=env("PATH_IN_REPO"), help="A folder of the repository.")] = "",
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
) -> None:
    """Run master and one agent: follow a repository and make this host what it says. SIGTERM leaves pods running."""
    from gitops.cli.up import run_up

    run_up(
        settings.UpSettings(
            repo=repo,
            branch=branch,
            path=path,
            source_name=source_name,
            interval_seconds=settings.seconds_of("--interval", interval),
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
            pod_cidr=pod_cidr,
            service_cidr=service_cidr,
            ingress_http=ingress_http,
            ingress_https=ingress_https,
            ssh_key_file=ssh_key_file,
            known_hosts=known_hosts,
            git_credentials_file=git_credentials_file,
            history_seconds=settings.seconds_of("--history", history),
            history_revisions=history_revisions,
            render_bin_dir=render_bin_dir,
        )
    )


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
        timeout_seconds=settings.seconds_of("--timeout", timeout),
    )


@app.command()
def check(
    paths: Annotated[list[Path], typer.Argument(help="Files or folders.")],
    strict: Annotated[
        bool, typer.Option("--strict", envvar=env("STRICT"), help="Warnings are errors.")
    ] = False,
    render_bin_dir: RenderBinDir = None,
) -> None:
    """Check manifests without a master: what would be refused, and what is not acted on yet."""
    from gitops.cli.check import run_check

    run_check(paths, strict=strict, render_bin_dir=render_bin_dir)


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
