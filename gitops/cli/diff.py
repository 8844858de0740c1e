"""`gitward diff`: what is live against what git states, or a commit of it did, on the fields that it states."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from string import hexdigits
from typing import Any, Final

import typer

from gitops.cli.output import emit
from gitops.client import Client
from gitops.kinds.errors import NotFound
from gitops.kinds.keys import Key
from gitops.kinds.printable import shown

FETCH_SECONDS_MAX: Final = (
    600.0  # A commit that was never declared is fetched, after another that is asked for.
)

Json = dict[str, Any]


def run_diff(kubeconfig: Path, at: str, source: str, *, output: str) -> None:
    """Print it; a line on stderr where nothing differs; exit code 1 where the commit would be held back. Raises what
    the client raises.

    `at`: '': what git states now; else a commit, by its id or, in a clone, by any name that git has for it (`HEAD~1`).
    """
    found = asyncio.run(_found(kubeconfig, source, tuple(dict.fromkeys((commit_named(at), at)))))
    lines = [line for one in found["objects"] for line in _lines(one)]
    emit(found, output, "".join(f"{shown(line)}\n" for line in lines))
    problems = found.get("problems", ())
    if problems:
        typer.echo("this would hold it back:", err=True)
        for line in problems:
            typer.echo(shown(line), err=True)
        raise typer.Exit(1)
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


async def _found(kubeconfig: Path, source: str, names: tuple[str, ...]) -> Json:
    """The answer for the first name that is one to the master: a clone may be of another repository, or be behind."""
    for name in names:
        asked = {"source": source, "at": name}
        try:
            return await _ask(kubeconfig, {field: value for field, value in asked.items() if value})
        except NotFound:
            if name == names[-1]:
                raise
    raise AssertionError("there is a name")


async def _ask(kubeconfig: Path, params: dict[str, str]) -> Json:
    async with Client.from_kubeconfig(kubeconfig) as client:
        if "source" in params:  # So that a wrong name is an error.
            await client.request("GET", f"/apis/gitward.io/v1alpha1/gitsources/{params['source']}")
        return await client.request(
            "GET", "/gitward/v1/diff", params=params, patience_seconds=FETCH_SECONDS_MAX
        )


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
