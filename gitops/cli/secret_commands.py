"""`gitward secret …`: the commands and their flags; what they run is in `secret.py`, imported when it is."""

from pathlib import Path
from typing import Annotated

import typer

from gitops.cli import settings
from gitops.cli.flags import DataDir, env
from gitops.cli.usage import WrongUsage

secret = typer.Typer(help="Make keys, encrypt and decrypt secrets for a repository.", no_args_is_help=True)


@secret.command()
def keygen() -> None:
    """Print a new age key; its recipient is in the comment."""
    from gitops.cli.secret import run_keygen

    run_keygen()


AgeKeyFile = Annotated[
    Path | None, typer.Option(envvar=env("AGE_KEY_FILE"), help="[default: SOPS_AGE_KEY_FILE, D/age.key]")
]


@secret.command()
def encrypt(
    file: Annotated[Path, typer.Argument(help="Secrets or ConfigMaps (YAML, JSON); a .env file; any other.")],
    age: Annotated[
        list[str] | None,
        typer.Option(
            "--age", envvar=env("AGE"), help="A recipient, age1… or ssh-ed25519 …; may be repeated."
        ),
    ] = None,
    sealed: Annotated[
        bool,
        typer.Option("--sealed", envvar=env("SEALED"), help="As SealedSecrets, for this cluster alone."),
    ] = False,
    scope: Annotated[
        str, typer.Option(envvar=env("SCOPE"), help="Of --sealed: strict, namespace-wide or cluster-wide.")
    ] = "strict",
    cert: Annotated[
        Path | None,
        typer.Option(envvar=env("CERT"), help="Of --sealed. [default: D/sealed-secrets/tls.crt]"),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Print FILE with the values of `data` and `stringData` encrypted (SOPS, or SealedSecrets)."""
    from gitops.cli.secret import run_encrypt, run_seal

    if sealed == bool(age):
        raise WrongUsage("--age or --sealed is wanted, and not both")
    if sealed:
        run_seal(file, scope, cert, settings.data_dir_of(data_dir))
    else:
        run_encrypt(file, tuple(age or ()))


@secret.command()
def decrypt(
    file: Annotated[Path, typer.Argument(help="A file encrypted with SOPS for an age key.")],
    age_key_file: AgeKeyFile = None,
    data_dir: DataDir = None,
) -> None:
    """Print FILE in clear text."""
    from gitops.cli.secret import run_decrypt

    run_decrypt(file, settings.age_key_file_of(age_key_file, settings.data_dir_of(data_dir)))


@secret.command()
def edit(
    file: Annotated[Path, typer.Argument(help="A file encrypted with SOPS for an age key.")],
    age_key_file: AgeKeyFile = None,
    data_dir: DataDir = None,
) -> None:
    """Open FILE in $EDITOR in clear text, in memory only, and encrypt what was changed."""
    from gitops.cli.secret import run_edit

    run_edit(file, settings.age_key_file_of(age_key_file, settings.data_dir_of(data_dir)))


@secret.command()
def rotate(
    file: Annotated[Path, typer.Argument(help="A file encrypted with SOPS for an age key.")],
    age: Annotated[
        list[str] | None,
        typer.Option("--age", envvar=env("AGE"), help="Its recipients from now on. [default: as they are]"),
    ] = None,
    age_key_file: AgeKeyFile = None,
    data_dir: DataDir = None,
) -> None:
    """Encrypt FILE again under a new data key, for the same recipients or for others."""
    from gitops.cli.secret import run_rotate

    run_rotate(file, tuple(age or ()), settings.age_key_file_of(age_key_file, settings.data_dir_of(data_dir)))
