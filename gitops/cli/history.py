"""`gitward history`: the commits of sources and when each reached which stage, with a bar for each on a terminal."""

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import typer

from gitops.cli.named import Named, params_of
from gitops.cli.output import columns, emit
from gitops.client import Client
from gitops.kinds.tables import age, duration

STAGES: Final = ("fetched", "declared", "live", "scheduled", "ready")
BAR_WIDTH: Final = 24
# How the time until each stage is drawn: the darker, the nearer to its end.
_SHADES: Final = {"declared": "░", "live": "▒", "scheduled": "▓", "ready": "█"}
SUBJECT_CHARACTERS: Final = 40
SHORT_ID: Final = 7

Json = dict[str, Any]


def run_history(kubeconfig: Path, source: str, wanted: Named | None, *, namespace: str, output: str) -> None:
    """Print the commits of a source ('': all), or those that changed one object. Raises what the client raises."""
    params = params_of(wanted, namespace) if wanted else {"source": source} if source else {}
    found = asyncio.run(_ask(kubeconfig, params))
    is_seen = output == "table" and sys.stdout.isatty()
    emit(found, output, table(found["commits"], datetime.now(UTC), with_bars=is_seen))
    if output == "table" and not found["commits"]:
        typer.echo("no commit was seen yet", err=True)


async def _ask(kubeconfig: Path, params: dict[str, str]) -> Json:
    async with Client.from_kubeconfig(kubeconfig) as client:
        return await client.request("GET", "/gitward/v1/history", params=params)


def table(commits: Sequence[Json], now: datetime, *, with_bars: bool) -> str:
    """A row a commit: when it was fetched (or declared), and how long after that it reached each stage."""
    longest = max((_span(one, _start(one), _end(one)) for one in commits), default=0.0)
    header = ["SOURCE", "COMMIT", "WRITTEN", "CAUSE", "FETCHED", *(stage.upper() for stage in STAGES[1:])]
    places, signed = (any(name in one for one in commits) for name in ("file", "signer"))
    rows = [
        [
            one["source"],
            one["commit"][:SHORT_ID],
            age(one.get("written"), now) if one.get("written") else "-",
            _cause(one),
            age(one.get("fetched") or one.get("declared"), now),
            *(_after(one, stage) for stage in STAGES[1:]),
            *([bar(one, longest)] if with_bars else []),
            *([_place(one)] if places else []),
            one.get("author", "-"),
            *([one["signer"]["name"] if "signer" in one else "-"] if signed else []),
            one.get("subject", "-")[:SUBJECT_CHARACTERS],
        ]
        for one in commits
    ]
    more = [*(["TIMELINE"] if with_bars else []), *(["FILE"] if places else [])]
    return columns([*header, *more, "AUTHOR", *(["SIGNER"] if signed else []), "SUBJECT"], rows)


def _cause(one: Json) -> str:
    """`timer, hook lost`; `timer, hook +40.0s`: it came so long after the timer had found the commit."""
    cause = str(one.get("cause", "-"))
    if one.get("hook") == "late":
        return f"{cause}, hook {_after(one, 'hooked')}"
    return f"{cause}, hook lost" if one.get("hook") == "lost" else cause


def _place(one: Json) -> str:
    """Where the object is stated, or was until this commit."""
    state = "" if one["state"] == "declared" else " (removed)" if one["state"] == "withdrawn" else " (held)"
    return f"{one['file']}:{one['line']}{state}" if "file" in one else ""


def bar(one: Json, longest_seconds: float) -> str:
    """From fetched to the last stage reached, `longest_seconds` being the whole width; `✗` where it never got live."""
    drawn, start = "", _start(one)
    for stage in STAGES[1:]:
        if stage in one and longest_seconds > 0:
            cells = round(BAR_WIDTH * _span(one, start, stage) / longest_seconds)
            drawn += _SHADES[stage] * (cells - len(drawn))
    return (drawn or "▏") + ("" if "live" in one else " ✗")


def _after(one: Json, stage: str) -> str:
    """`+1.2s`: since it was fetched."""
    if stage not in one:
        return "-"
    if "fetched" not in one:
        return "yes"
    seconds = _span(one, "fetched", stage)
    passed = datetime.fromisoformat(one[stage]) - datetime.fromisoformat(one["fetched"])
    return f"+{seconds:.1f}s" if seconds < 120 else f"+{duration(passed)}"


def _start(one: Json) -> str:
    return "fetched" if "fetched" in one else "declared"


def _end(one: Json) -> str:
    return next((stage for stage in reversed(STAGES) if stage in one), _start(one))


def _span(one: Json, start: str, end: str) -> float:
    if start not in one or end not in one:
        return 0.0
    passed = datetime.fromisoformat(one[end]) - datetime.fromisoformat(one[start])
    return max(passed.total_seconds(), 0.0)
