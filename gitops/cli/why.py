"""`gitward why`: where an object comes from, who set which field, how it is, and what it waits for."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from gitops.cli.named import Named, params_of
from gitops.cli.output import columns, emit
from gitops.client import Client
from gitops.kinds.gitward import MANAGER
from gitops.kinds.keys import Key
from gitops.kinds.printable import shown

FIELDS_SHOWN_MAX: Final = 12  # Of one manager; `-o yaml` has all.
SHORT_ID: Final = 7

Json = dict[str, Any]


def run_why(kubeconfig: Path, wanted: Named, *, namespace: str, output: str) -> None:
    """Print it. Raises NotFound and what the client raises."""
    found = asyncio.run(_ask(kubeconfig, params_of(wanted, namespace)))
    emit(found, output, "".join(f"{shown(line)}\n" for line in _lines(found)) + _tables(found))


async def _ask(kubeconfig: Path, params: dict[str, str]) -> Json:
    async with Client.from_kubeconfig(kubeconfig) as client:
        return await client.request("GET", "/gitward/v1/why", params=params)


def _lines(found: Json) -> Iterator[str]:
    health = found.get("health")
    state = f"{health['state']}{': ' + health['why'] if health['why'] else ''}" if health else "not live"
    yield f"{_key(found['object'])}: {state}"
    for owner in found["madeBy"]:
        yield f"  made by {_key(owner)}"
    if not found["declared"]:
        yield "  no source declares it"
    if removed := found.get("removedBy"):
        yield f"  removed by commit {removed['commit'][:SHORT_ID]}{_words(removed)}; before that"
    for claim in found["declared"]:
        yield from _claim(claim, found["object"])
    yield from _status(found["status"])
    for condition in found.get("conditions", ()):
        told = condition.get("message") or condition.get("reason", "")
        yield f"  {condition['type']}={condition['status']}{': ' + told if told else ''}"
    for entry in found.get("fields", ()):
        if entry["fields"]:
            yield from _fields(entry)


def _claim(claim: Json, asked: Json) -> Iterator[str]:
    what = "" if claim["object"] == asked else f"{_key(claim['object'])} "
    state = "" if claim["state"] == "declared" else f" ({claim['state']})"
    yield f"  {what}declared by source {claim['source']} at {claim['file']}:{claim['line']}{state}"
    yield f"  last changed by commit {claim['commit'][:SHORT_ID]}{_words(claim)}"


def _words(told: Json) -> str:
    words = f" {told['subject']!r} by {told['author']}, {told['written']}" if "author" in told else ""
    return f"{words}, signed by {signer_of(told)}" if "signer" in told else words


def signer_of(told: Json) -> str:
    """`ann@example.com (SHA256:…)`."""
    return f"{told['signer']['name']} ({told['signer']['key']})"


def _status(status: Json) -> Iterator[str]:
    words = {"problem": "cannot be applied", "waiting": "waits", "after": "waits", "kept": "stays"}
    for name, word in words.items():
        if status.get(name):
            yield f"  {word}: {status[name]}"


def _fields(entry: Json) -> Iterator[str]:
    fields = [field for field in entry["fields"] if not _is_within(field, entry["fields"])]
    who = "git" if entry["manager"] == MANAGER else entry["manager"]
    where = f" ({entry['subresource']})" if "subresource" in entry else ""
    more = f" and {len(fields) - FIELDS_SHOWN_MAX} more" if len(fields) > FIELDS_SHOWN_MAX else ""
    yield f"  {who}{where} owns {', '.join(fields[:FIELDS_SHOWN_MAX])}{more}"


def _is_within(field: str, others: list[str]) -> bool:
    """Whether a field is part of another of the same owner: an item of a list says it for all of its own."""
    return any(field.startswith((f"{other}.", f"{other}[")) for other in others)


def _tables(found: Json) -> str:
    pods = [(one["name"], one["node"] or "-", one["health"], one.get("scheduler") or one["why"])
            for one in found.get("pods", ())]  # fmt: skip
    events = [(one["time"], one["reason"], one["object"], one["message"]) for one in found.get("events", ())]
    parts = (
        columns(("POD", "NODE", "HEALTH", "WHY"), pods),
        columns(("SEEN", "REASON", "OBJECT", "MESSAGE"), events),
    )
    return "".join(f"\n{part}" for part in parts if part)


def _key(key: Json) -> str:
    return str(Key(key["group"], key["kind"], key["namespace"], key["name"]))
