"""A row of a table: a pod's manifest, and what is seen of it from inside its container and in its status."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from gitops.kinds.core.pod import Pod, pod_phase
from tests.agent_world import Node, a_pod
from tests.docker.pods.conftest import Host
from tests.docker.pods.inside import FOREVER, container, inside


def running(pod: Pod) -> bool:
    return pod_phase(pod) == "Running"


class Row(NamedTuple):
    """`script` is run in the container app once `until` holds; `sees` is what it prints."""

    spec: dict[str, Any]
    script: str = ""
    sees: str = ""
    until: Callable[[Pod], bool] = running
    status: Callable[[Pod], object] = lambda pod: None
    told: object = None


def app(script: str = FOREVER, **fields: Any) -> dict[str, Any]:
    return {"containers": [container("app", script, **fields)]}


async def differing(host: Host, node: Node, rows: Mapping[str, Row]) -> dict[str, str]:
    """What is not as a row says, by its name. All pods run at once."""

    async def one(number: int, row: Row) -> str:
        name = f"row-{number}"
        host.api.put(a_pod(name, **row.spec))
        try:
            pod = await node.until(f"uid-{name}", row.until, seconds=60)
            seen = await inside(node, f"uid-{name}", row.script) if row.script else ""
        except AssertionError as error:
            return str(error)
        told = row.status(pod)
        return "" if (seen, told) == (row.sees, row.told) else f"{seen!r}, {told!r}"

    answers = await asyncio.gather(*(one(n, row) for n, row in enumerate(rows.values())))
    return {name: why for name, why in zip(rows, answers, strict=True) if why}
