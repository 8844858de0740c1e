"""Lifecycle hooks of a container: exec, httpGet, tcpSocket, sleep. Source: kubernetes/pkg/kubelet/lifecycle."""

import asyncio
from typing import Final

import aiohttp
from yarl import URL

from agent.probes.checks import connect, port_number
from agent.runtime.protocol import Runtime
from gitops.kinds.core.pod import Container, HTTPGetAction, LifecycleHandler, TCPSocketAction
from gitops.kinds.errors import GitwardError

EXEC_SECONDS_MAX: Final = 3600.0  # The caller bounds a preStop hook by the grace.
HTTP_SECONDS: Final = 30.0
USER_AGENT: Final = "kube-lifecycle/1.35"


async def run_hook(
    runtime: Runtime, hook: LifecycleHandler, container: Container, container_id: str, address: str
) -> str:
    """Why it failed; '' if it did not."""
    if "exec" in hook:
        command = tuple(hook["exec"].get("command", ()))
        try:
            result = await runtime.exec(container_id, command, timeout_seconds=EXEC_SECONDS_MAX)
        except GitwardError as error:
            return str(error)
        output = result.output.decode(errors="replace")[:200]
        return "" if result.exit_code == 0 else f"exit code {result.exit_code}: {output}"
    if "httpGet" in hook:
        return await _get(hook["httpGet"], container, address)
    if "tcpSocket" in hook:
        return await _connect(hook["tcpSocket"], container, address)
    if "sleep" in hook:
        await asyncio.sleep(hook["sleep"]["seconds"])
    return ""


async def _get(action: HTTPGetAction, container: Container, address: str) -> str:
    """Any answer is success, and there is no retry."""
    port = port_number(action["port"], container)
    if port is None:
        return f"no port named {action['port']!r}"
    path = action["path"] if action["path"].startswith("/") else "/" + action["path"]
    url = URL(f"{action['scheme'].lower()}://{action.get('host') or address}:{port}{path}", encoded=True)
    stated = {one["name"]: one["value"] for one in action.get("httpHeaders", ())}
    headers = {"User-Agent": USER_AGENT, **stated}
    try:
        limit = aiohttp.ClientTimeout(total=HTTP_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.get(url, headers=headers, ssl=False) as answer,
        ):
            return "" if answer.status < 400 else f"HTTP status {answer.status}"
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return f'Get "{url}": {error or type(error).__name__}'


async def _connect(action: TCPSocketAction, container: Container, address: str) -> str:
    """That somebody listens is success. A kubelet knows the field and fails such a hook; here it does what it says."""
    try:
        async with asyncio.timeout(HTTP_SECONDS):
            outcome = await connect(action, container, address)
    except TimeoutError:
        return f"timed out after {HTTP_SECONDS:.0f} s"
    return "" if outcome.ok else outcome.message
