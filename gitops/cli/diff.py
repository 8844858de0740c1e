"""`gitward diff`: what is live against what git states, or a commit of it did, on the fields that it states."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from string import hexdigits
from typing import Any

import typer

from gitops.cli.output import emit
from gitops.client import Client
from gitops.kinds.keys import Key
from gitops.kinds.printable import shown

Json = dict[str, Any]


def run_diff(kubeconfig: Path, at: str, source: str, *, output: str) -> None:
    """Print it; a line on stderr where nothing differs. Raises what the client raises.

    `at`: '': what git states now; else a commit, by its id or, in a clone, by any name that git has for it (`HEAD~1`).
    """
    asked = {"source": source, "at": commit_named(at)}
    found = asyncio.run(_ask(kubeconfig, {name: value for name, value in asked.items() if value}))
    lines = [line for one in found["objects"] for line in _lines(one)]
    emit(found, output, "".join(f"{shown(line)}\n" for line in lines))
    if output == "table" and not lines:
        typer.echo("nothing differs", err=True)


def commit_named(text: str) -> str:
    """The id that a name stands for in the clone where we are; the text itself if it is an id, or no name here."""
    if not text or set(text.lower()) <= set(hexdigits):
        return text
    arguments = ("git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{text}^{{commit}}")
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    except OSError:  # No git here.
        return text
    return done.stdout.strip() or text


async def _ask(kubeconfig: Path, params: dict[str, str]) -> Json:
    async with Client.from_kubeconfig(kubeconfig) as client:
        if "source" in params:  # So that a wrong name is an error.
            await client.request("GET", f"/apis/gitward.io/v1alpha1/gitsources/{params['source']}")
        return await client.request("GET", "/gitward/v1/diff", params=params)


def _lines(one: Json) -> Iterator[str]:
    key = one["object"]
    name = Key(key["group"], key["kind"], key["namespace"], key["name"])
    words = {"missing": "is not live", "extra": "is live, and not in git any more", "changed": "differs"}
    why = f": {one['why']}" if one["why"] else ""
    yield f"{one['file']}:{one['line']} @ {one['commit'][:7]}: {name} {words[one['state']]}{why}"
    for field in one["fields"]:
        yield f"  {field['field']}"
        if field["live"] is not None:
            yield f"  - {json.dumps(field['live'], ensure_ascii=False)}"
        if field["git"] is not None:
            yield f"  + {json.dumps(field['git'], ensure_ascii=False)}"
