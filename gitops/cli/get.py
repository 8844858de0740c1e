"""`gitward get`: objects as `kubectl get` shows them; with `--at` as they were."""

import asyncio
import json
from pathlib import Path
from typing import Any, Final

import typer
import yaml

from gitops.cli.named import Named, params_of
from gitops.cli.output import columns
from gitops.cli.usage import WrongUsage
from gitops.client import Client

OUTPUTS: Final = ("table", "wide", "yaml", "json")


def run_get(kubeconfig: Path, wanted: Named, *, namespace: str, at: str, output: str) -> None:
    """`namespace` '': all of them. Raises NotFound, Expired (the past does not reach so far), WrongUsage."""
    if output not in OUTPUTS:
        raise WrongUsage(f"--output: found {output!r}, wanted {', '.join(OUTPUTS)}")
    if wanted.name and wanted.kind.namespaced and not namespace:
        raise WrongUsage("a name and --all-namespaces do not go together")
    is_table = output in ("table", "wide")
    params = params_of(wanted, namespace) | ({"at": at} if at else {}) | ({"as": "Table"} if is_table else {})
    found = asyncio.run(_ask(kubeconfig, params))
    if output == "json":
        typer.echo(json.dumps(found, indent=2))
    elif output == "yaml":
        typer.echo(yaml.safe_dump(found, sort_keys=False, allow_unicode=True), nl=False)
    elif found["rows"]:
        typer.echo(_table(found, wanted, namespace, is_wide=output == "wide"), nl=False)
    else:
        where = f" in {namespace} namespace" if wanted.kind.namespaced and namespace else ""
        typer.echo(f"No resources found{where}.", err=True)


async def _ask(kubeconfig: Path, params: dict[str, str]) -> dict[str, Any]:
    async with Client.from_kubeconfig(kubeconfig) as client:
        return await client.request("GET", "/gitward/v1/get", params=params)


def _table(found: dict[str, Any], wanted: Named, namespace: str, *, is_wide: bool) -> str:
    shown = [
        index for index, column in enumerate(found["columnDefinitions"]) if is_wide or not column["priority"]
    ]
    with_namespace = wanted.kind.namespaced and not namespace
    header = [found["columnDefinitions"][index]["name"].upper() for index in shown]
    rows = [
        [*([row["object"]["metadata"]["namespace"]] if with_namespace else []),
         *("" if row["cells"][index] is None else row["cells"][index] for index in shown)]
        for row in found["rows"]
    ]  # fmt: skip
    return columns([*(["NAMESPACE"] if with_namespace else []), *header], rows)
