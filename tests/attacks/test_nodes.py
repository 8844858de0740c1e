"""What a pod's manifest, or what runs in it, could make its node do: probes, copies, volumes of source code."""

import ast
import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

import pytest
from aiohttp import web

from agent.probes.checks import NetworkChecks, Target
from agent.probes.tally import Outcome
from agent.runtime.fake import FakeRuntime
from agent.volumes.volumes import PodVolumes
from gitops.kinds.core.pod import Container, Probe
from gitops.kinds.errors import Invalid
from tests.agent_world import a_pod

AGENT: Final = Path(__file__).parents[2] / "agent"
ENDLESS_SECONDS_MAX: Final = 20.0
CANARY: Final = "what another host says"


def now() -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC)


@asynccontextmanager
async def serving(handler: Any, address: str = "127.0.0.1") -> AsyncIterator[int]:
    """The port that answers with `handler`."""
    app = web.Application()
    app.router.add_get("/{rest:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, address, 0)
    await site.start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def probed(port: int, **action: Any) -> Outcome:
    checks = NetworkChecks(FakeRuntime(now))
    target = Target("id", "127.0.0.1", now(), {})
    http_get = {"port": port, "path": "/", "scheme": "HTTP", **action}
    probe = cast(Probe, {"httpGet": http_get, "timeoutSeconds": 5})
    try:
        return await checks.check(probe, cast(Container, {"name": "app"}), target)
    finally:
        await checks.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_probe_follows_no_redirect_to_another_host(status: int) -> None:
    """K6: else a pod that answers so would choose what the node asks: a cloud's metadata, its neighbours."""
    asked: list[str] = []

    async def other(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(text=CANARY)

    async def scenario() -> Outcome:
        async with serving(other, "127.0.0.2") as there:

            async def pod(_: web.Request) -> web.Response:
                return web.Response(
                    status=status, headers={"Location": f"http://127.0.0.2:{there}/latest/meta-data"}
                )

            async with serving(pod) as port:
                return await probed(port)

    outcome = asyncio.run(scenario())

    assert asked == []
    assert outcome.ok
    assert CANARY not in str(outcome)


def test_redirects_in_a_circle_end_and_an_endless_body_is_not_read() -> None:
    sent: list[int] = []

    async def circle(request: web.Request) -> web.Response:
        sent.append(1)
        return web.Response(status=302, headers={"Location": f"/{len(sent)}"})

    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        with suppress(ConnectionError):  # The probe went when it had seen enough.
            while True:
                await answer.write(b"x" * 65_536)
        return answer

    async def scenario() -> tuple[Outcome, Outcome]:
        async with serving(circle) as one, serving(endless) as other:
            async with asyncio.timeout(ENDLESS_SECONDS_MAX):
                return await probed(one), await probed(other)

    circled, streamed = asyncio.run(scenario())

    assert (circled.ok, circled.message) == (False, "stopped after 10 redirects")
    assert len(sent) == 10
    assert streamed.ok


def test_what_a_probed_server_says_is_not_repeated() -> None:
    """K6: an event that held the answer would show its author what the node can reach."""

    async def refuses(_: web.Request) -> web.Response:
        return web.Response(status=500, text=CANARY, reason="Oops")

    async def scenario() -> Outcome:
        async with serving(refuses) as port:
            return await probed(port)

    assert asyncio.run(scenario()) == Outcome(False, "HTTP probe failed with statuscode: 500")


def test_a_volume_of_a_git_repository_is_refused_and_nothing_is_run(tmp_path: Path) -> None:
    """K11: the kubelet's gitRepo ran the hooks of whatever was cloned, as root on the node."""
    repository = {"repository": f"file://{tmp_path}/repo", "directory": "../../escape"}
    pod = a_pod(
        "clone", containers=[{"name": "app", "image": "x"}], volumes=[{"name": "code", "gitRepo": repository}]
    )

    def nobody(*_: object) -> Any:
        raise AssertionError("nothing is looked up")

    with pytest.raises(Invalid, match="a source of kind gitRepo cannot be mounted on this node"):
        asyncio.run(PodVolumes(tmp_path / "pods").ensure(pod, cast(Any, nobody), cast(Any, None)))

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_engines_own_copy_is_never_used() -> None:
    """K2: `docker cp` follows what a running container makes of its paths. Copying is tar in the container, by exec."""
    used = [
        path.name
        for path in AGENT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if _asks_for_a_copy(node)
    ]

    assert used == []


def _asks_for_a_copy(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(attr="get_archive" | "put_archive"):
            return True
        case ast.Constant(value=str(text)):
            return re.search(r"/containers/.*/archive", text) is not None
        case _:
            return False
