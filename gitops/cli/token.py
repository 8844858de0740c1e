"""`gitward token`: makes join tokens, shows and revokes them. They are Secrets to the API, which gets a hash alone."""

import asyncio
import secrets
import string
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import typer

from gitops.api import tokens
from gitops.cli.output import columns, emit
from gitops.cli.usage import WrongUsage
from gitops.client import Client, load_kubeconfig
from gitops.client.joining import JoinToken, ca_hash
from gitops.kinds.core.config import SECRET, Secret
from gitops.kinds.errors import NotFound
from gitops.kinds.objects import timestamp
from gitops.kinds.sensitive import Sensitive

ID_CHARACTERS: Final = 8
SECRET_BYTES: Final = 20
USES_MAX: Final = 1_000
TTL_SECONDS_MAX: Final = 7 * 86_400


def run_create(kubeconfig: Path, *, ttl_seconds: float, uses: int, name: str) -> None:
    """Print the token alone on stdout, what to do with it on stderr. Expired ones are removed on the way."""
    if not 1 <= uses <= USES_MAX:
        raise WrongUsage(f"--uses: found {uses}, wanted 1 to {USES_MAX}")
    if not 60 <= ttl_seconds <= TTL_SECONDS_MAX:
        raise WrongUsage(f"--ttl: found {ttl_seconds:.0f} s, wanted 1m to {TTL_SECONDS_MAX // 86_400}d")
    credentials = load_kubeconfig(kubeconfig)
    token = JoinToken(
        ca_hash(credentials.ca),
        "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(ID_CHARACTERS)),
        Sensitive(secrets.token_hex(SECRET_BYTES).encode()),
    )
    asyncio.run(
        _create(kubeconfig, tokens.token_object(token, ttl_seconds=int(ttl_seconds), uses=uses, name=name))
    )
    typer.echo(token.text)
    typer.echo(
        f"on the new node: gitward agent --master {credentials.url} --join TOKEN   (another address of the master does "
        "as well)",
        err=True,
    )


def run_list(kubeconfig: Path, output: str) -> None:
    found = [_shown(one) for one in asyncio.run(_tokens(kubeconfig))]
    table = columns(
        ("ID", "EXPIRES", "USES LEFT", "FOR"),
        [(one["id"], one["expires"], str(one["usesLeft"]), one["node"] or "any node") for one in found],
    )
    emit({"tokens": found}, output, table)


def run_revoke(kubeconfig: Path, token_id: str) -> None:
    """Raises NotFound."""
    asyncio.run(_revoke(kubeconfig, token_id))
    typer.echo(f"token {token_id} is revoked")


def _shown(secret: Secret) -> dict[str, Any]:
    expires, now = tokens.expires_at(secret), datetime.now(UTC)
    return {
        "id": secret["metadata"].get("name", "").removeprefix(tokens.NAME_PREFIX),
        "expires": timestamp(expires) if expires > now else "expired",
        "usesLeft": tokens.uses_left(secret),
        "node": tokens.node_name_of(secret),
    }


async def _create(kubeconfig: Path, secret: Secret) -> None:
    async with Client.from_kubeconfig(kubeconfig) as client:
        await client.create(SECRET, secret)
        for old in await _list(client):
            if tokens.expires_at(old) <= datetime.now(UTC):
                await _delete(client, old["metadata"].get("name", ""))


async def _tokens(kubeconfig: Path) -> tuple[Secret, ...]:
    async with Client.from_kubeconfig(kubeconfig) as client:
        return await _list(client)


async def _list(client: Client) -> tuple[Secret, ...]:
    found = await client.list(SECRET, tokens.NAMESPACE, label_selector=f"{tokens.LABEL}=true")
    return found.items


async def _revoke(kubeconfig: Path, token_id: str) -> None:
    async with Client.from_kubeconfig(kubeconfig) as client:
        try:
            await client.delete(SECRET, tokens.NAMESPACE, tokens.NAME_PREFIX + token_id)
        except NotFound:
            raise NotFound(f"there is no token {token_id}: see `gitward token list`") from None


async def _delete(client: Client, name: str) -> None:
    try:
        await client.delete(SECRET, tokens.NAMESPACE, name)
    except NotFound:
        return  # Someone was faster.
