"""The method `get` of the way back: the paths of a kubelet's own API that clients ask for through the master."""

import resource as limits
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from agent.usage import exposition
from agent.usage.sampler import Sampler, Snapshot
from agent.usage.summary import summary
from gitops.client import Handler, of_bytes
from gitops.kinds.errors import NotFound, Unavailable

PATHS: Final = ("/stats/summary", "/metrics/cadvisor", "/metrics/resource", "/metrics", "/healthz")
STATM: Final = Path("/proc/self/statm")


def usage_handler(sampler: Sampler) -> Handler:
    """`{"path"}` is one of `PATHS`."""

    async def get(params: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        path = params.get("path")
        if path not in PATHS:
            raise NotFound(f"a node answers {', '.join(PATHS)}: found {path!r}")
        if path == "/healthz":
            yield b"ok"
            return
        snapshot = await sampler.now()
        if snapshot is None:
            raise Unavailable("the node cannot read what it uses: see its log")
        yield _answer(str(path), snapshot)

    return of_bytes(get)


def _answer(path: str, snapshot: Snapshot) -> bytes:
    match path:
        case "/stats/summary":
            return orjson.dumps(summary(snapshot))
        case "/metrics/cadvisor":
            return exposition.cadvisor(snapshot).encode()
        case "/metrics/resource":
            return exposition.resource(snapshot).encode()
        case _:
            own = limits.getrusage(limits.RUSAGE_SELF)
            resident = int(STATM.read_text().split()[1]) * limits.getpagesize()
            text = exposition.agent(
                snapshot, cpu_seconds=own.ru_utime + own.ru_stime, resident_bytes=resident
            )
            return text.encode()
