"""`gitward status`: what git says, what is live, and what holds it back."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

from gitops.cli.output import columns, emit
from gitops.cli.workloads import ASKED_MAX, explained
from gitops.client import Client
from gitops.kinds.apps import DEPLOYMENT, Deployment
from gitops.kinds.core.node import NODE, Node
from gitops.kinds.gitward import GIT_SOURCE, GitSource
from gitops.kinds.health import health
from gitops.kinds.printable import shown

SHORT_ID: Final = 7
HELD: Final = "held: deleted after a commit with the trailer `Gitward-Allow-Prune: all`, or a number"


def run_status(kubeconfig: Path, output: str) -> None:
    """Print it. Raises what the client raises."""
    found = asyncio.run(_ask(kubeconfig))
    emit(found, output, _table(found))


async def _ask(kubeconfig: Path) -> dict[str, Any]:
    async with Client.from_kubeconfig(kubeconfig) as client:
        sources = await client.list(GIT_SOURCE)
        nodes = await client.list(NODE)
        deployments = await client.list(DEPLOYMENT)
        problem = await client.not_ready()
        workloads = [one async for one in _workloads(client, deployments.items)]
    return {
        "problem": problem,
        "sources": [_source(source) for source in sources.items],
        "nodes": [_node(node) for node in nodes.items],
        "workloads": workloads,
    }


async def _workloads(client: Client, deployments: Sequence[Deployment]) -> AsyncIterator[dict[str, Any]]:
    """Each with its health; pods are asked for only where something is missing."""
    asked = 0
    for deployment in deployments:
        found = health(deployment)
        if found.state != "Healthy" and asked < ASKED_MAX:
            asked += 1
            found = await explained(client, deployment)
        name = f"{deployment['metadata'].get('namespace')}/{deployment['metadata'].get('name')}"
        yield {"name": name, "kind": "Deployment", "health": found.state, "why": found.why}


def _source(source: GitSource) -> dict[str, Any]:
    status = source.get("status") or {}
    commit = status.get("commit") or {}
    return {
        "name": source["metadata"].get("name"),
        "url": source["spec"]["url"],
        "branch": source["spec"].get("branch", ""),
        "path": source["spec"].get("path", ""),
        "commit": {stage: commit.get(stage, "") for stage in ("fetched", "declared", "live")},
        "problems": status.get("problems", []),
        "warnings": status.get("warnings", []),
        "unapplied": status.get("unapplied", []),
        "waiting": status.get("waiting", []),
        "held": status.get("held", []),
        "kept": status.get("kept", []),
        "renderers": status.get("renderers", []),
        "ignoredFiles": status.get("ignoredFiles", 0),
        "lastLook": status.get("lastLook", ""),
        "nextLook": status.get("nextLook", ""),
        "failures": status.get("failures", 0),
        "appCount": status.get("appCount", 1),
        "apps": status.get("apps", []),
    }


def _node(node: Node) -> dict[str, Any]:
    conditions = (node.get("status") or {}).get("conditions") or []
    ready = next((entry["status"] for entry in conditions if entry["type"] == "Ready"), "Unknown")
    return {"name": node["metadata"].get("name"), "ready": ready == "True"}


def _table(found: dict[str, Any]) -> str:
    problem = f"error: the master is not ready: {shown(found['problem'])}\n" if found["problem"] else ""
    parts = [problem, _sources(found["sources"]), _told(found["sources"])]
    parts.append(columns(("NODE", "READY"), [(node["name"], node["ready"]) for node in found["nodes"]]))
    unwell = [entry for entry in found["workloads"] if entry["health"] != "Healthy"]
    rows = [(entry["kind"], entry["name"], entry["health"], entry["why"]) for entry in unwell]
    well = len(found["workloads"]) - len(unwell)
    noun = "workload" if well == 1 else "workloads"
    whole = f"{well} {noun}, all healthy\n" if well else "no workloads\n"
    parts.append(columns(("WORKLOAD", "NAME", "HEALTH", "WHY"), rows) or whole)
    return "\n".join(part for part in parts if part)


def _sources(sources: list[dict[str, Any]]) -> str:
    rows = [
        (
            entry["name"],
            *(entry["commit"][stage][:SHORT_ID] or "-" for stage in ("fetched", "declared", "live")),
            _state(entry),
            entry["url"],
        )
        for entry in sources
    ]
    return columns(("SOURCE", "FETCHED", "DECLARED", "LIVE", "STATE", "URL"), rows)


def _state(entry: dict[str, Any]) -> str:
    commit = entry["commit"]
    if entry["problems"]:
        return "held back"
    if entry["unapplied"]:
        return "not applied"
    if entry["held"]:
        return "deletions held"
    return "ok" if commit["live"] and commit["live"] == commit["fetched"] else "waiting"


def _told(sources: list[dict[str, Any]]) -> str:
    """Problems, what cannot be applied or waits, held deletions and warnings, a line each."""
    lines = []
    for entry in sources:
        lines += [f"error: {shown(line)}" for line in [*entry["problems"], *entry["unapplied"]]]
        if entry["failures"]:
            lines.append(
                f"error: {shown(entry['name'])}: {entry['failures']} looks in a row did not reach the remote; "
                f"the next is at {entry['nextLook'][:19]}Z"
            )
        lines += [
            f"app {shown(app['name'])}: held back, at {app.get('declared', '')[:SHORT_ID] or 'no commit'}"
            for app in entry["apps"]
        ]
        lines += [f"waiting: {shown(line)}" for line in entry["waiting"]]
        lines += [f"held: {shown(line)}" for line in entry["held"]]
        if entry["held"]:
            lines.append(HELD)
        lines += [f"kept: {shown(line)}" for line in entry["kept"]]
        lines += [f"warning: {shown(line)}" for line in entry["warnings"]]
        lines += [f"renderer: {shown(line)}" for line in entry["renderers"]]
    return "".join(f"{line}\n" for line in lines)
