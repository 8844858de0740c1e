"""One probe made: http, tcp and grpc from the node to the pod's address, exec through the engine.

Source: kubernetes/pkg/probe. A probe that cannot be made (the engine does not answer) raises Unavailable and is not
counted. `SimulatedChecks` is for nodes without containers.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple, Protocol

import aiohttp
from yarl import URL

from agent.probes.grpc import health
from agent.probes.tally import Outcome
from agent.runtime.protocol import Runtime
from gitops.kinds.core.pod import Container, HTTPGetAction, Probe, TCPSocketAction
from gitops.kinds.errors import NotFound

BODY_MAX_BYTES: Final = 10 << 10  # As the kubelet reads.
MESSAGE_MAX_CHARACTERS: Final = 300
USER_AGENT: Final = "kube-probe/1.35"  # Applications tell probes by it.


class Target(NamedTuple):
    """The start of a container that is probed."""

    container_id: str
    address: str
    started_at: datetime
    annotations: Mapping[str, str]


class Checks(Protocol):
    async def check(self, probe: Probe, container: Container, target: Target) -> Outcome:
        """Within `timeoutSeconds`. A failure is an outcome, never an exception."""
        ...


class NetworkChecks:
    """Real probes. Its connections are not kept: each probe shall find out."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._http: aiohttp.ClientSession | None = None
        # Kubernetes does not verify certificates here: it asks whether somebody answers, not who.
        self._tls = ssl.create_default_context()
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()

    async def check(self, probe: Probe, container: Container, target: Target) -> Outcome:
        limit = float(probe["timeoutSeconds"])
        try:
            async with asyncio.timeout(limit):
                if "httpGet" in probe:
                    return await self._get(probe["httpGet"], container, target.address)
                if "tcpSocket" in probe:
                    return await connect(probe["tcpSocket"], container, target.address)
                if "grpc" in probe:
                    return await health(target.address, probe["grpc"]["port"], probe["grpc"]["service"])
                if "exec" in probe:
                    command = tuple(probe["exec"].get("command", ()))
                    return await self._exec(command, target.container_id, limit)
        except TimeoutError:
            return Outcome(False, f"timed out after {probe['timeoutSeconds']} s")
        return Outcome(True)

    async def _exec(self, command: tuple[str, ...], container_id: str, limit: float) -> Outcome:
        try:
            result = await self._runtime.exec(container_id, command, timeout_seconds=limit)
        except NotFound as error:
            return Outcome(False, str(error))
        text = result.output.decode(errors="replace").strip()[:MESSAGE_MAX_CHARACTERS]
        return Outcome(result.exit_code == 0, text)

    async def _get(self, action: HTTPGetAction, container: Container, address: str) -> Outcome:
        port = port_number(action["port"], container)
        if port is None:
            return Outcome(False, f"no port named {action['port']!r}")
        headers = {"User-Agent": USER_AGENT, "Accept": "*/*", "Connection": "close"}
        headers |= {one["name"]: one["value"] for one in action.get("httpHeaders", ())}
        headers = {name: value for name, value in headers.items() if value}
        path = action["path"] if action["path"].startswith("/") else "/" + action["path"]
        host = action.get("host") or address
        url = URL(f"{action['scheme'].lower()}://{host}:{port}{path}", encoded=True)
        try:
            return await self._answer(url, headers)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Outcome(False, f'Get "{url}": {error or type(error).__name__}'[:MESSAGE_MAX_CHARACTERS])

    async def _answer(self, url: URL, headers: Mapping[str, str]) -> Outcome:
        """Redirects on the same host are followed; one that leads elsewhere counts as an answer."""
        for _ in range(10):
            async with self._session().get(
                url, headers=headers, ssl=self._tls, allow_redirects=False
            ) as answer:
                location = answer.headers.get("Location")
                if answer.status in (301, 302, 303, 307, 308) and location:
                    following = url.join(URL(location))
                    if following.host == url.host:
                        url = following
                        continue
                await answer.content.read(BODY_MAX_BYTES)
                if 200 <= answer.status < 400:
                    return Outcome(True)
                return Outcome(False, f"HTTP probe failed with statuscode: {answer.status}")
        return Outcome(False, "stopped after 10 redirects")

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            connector = aiohttp.TCPConnector(limit=0, force_close=True, use_dns_cache=False)
            self._http = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self._http


async def connect(action: TCPSocketAction, container: Container, address: str) -> Outcome:
    """Whether somebody listens. The caller bounds the time."""
    port = port_number(action["port"], container)
    if port is None:
        return Outcome(False, f"no port named {action['port']!r}")
    host = action.get("host") or address
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        return Outcome(False, f"dial tcp {host}:{port}: {error.strerror or error}")
    writer.close()
    return Outcome(True)


def port_number(port: int | str, container: Container) -> int | None:
    """A port by its number or by its name in the container."""
    if isinstance(port, int):
        return port
    if port.isdigit():
        return int(port)
    named = (one["containerPort"] for one in container.get("ports", ()) if one.get("name") == port)
    return next(named, None)


class SimulatedChecks:
    """Every probe succeeds, once the annotation `annotation` (seconds since the start) allows it."""

    def __init__(self, clock: Callable[[], datetime], annotation: str) -> None:
        self._clock, self._annotation = clock, annotation

    async def check(self, probe: Probe, container: Container, target: Target) -> Outcome:
        ready_after = timedelta(seconds=float(target.annotations.get(self._annotation, "0")))
        return Outcome(self._clock() - target.started_at >= ready_after)
