"""Sandboxes at a Docker engine: made for a pod, or made ahead and given to one later.

What a container is labelled with cannot change, its name can: a spare sandbox is claimed by bearing the name that a
pod's own would bear, which also keeps two makers of the same sandbox apart.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from agent.runtime.docker_answers import PLAIN_RUNTIMES
from agent.runtime.docker_calls import DockerCalls, Found
from agent.runtime.docker_requests import (
    container_name,
    is_of_network,
    sandbox_body,
    spare_body,
    spare_hostname,
    spare_name,
)
from agent.runtime.protocol import LABEL_CLUSTER, LABEL_CONTAINER, SANDBOX, EngineInfo, SandboxSpec
from agent.runtime.unshared import NotUnshared, set_up, unshared
from gitops.kinds.errors import Unavailable

log = logging.getLogger(__name__)

HOOKLESS_VERSION: Final = 28  # Of Docker, from which on a network namespace costs no program to be run.


class DockerSandboxes:
    """`pause_id` answers the id of the pause image, which is there then. What is answered is Docker's JSON."""

    def __init__(
        self,
        host: str,
        cluster: str,
        calls: DockerCalls,
        info: EngineInfo,
        *,
        oom_score_min: int,
        pause_id: Callable[[], Awaitable[str]],
    ) -> None:
        self._host, self._cluster, self._calls = host, cluster, calls
        self._oom_min, self._pause_id = oom_score_min, pause_id
        self._may_unshare = may_unshare(info)

    async def make(self, spec: SandboxSpec) -> Found:
        unshares = self._may_unshare and not spec.host_network and not spec.runtime
        body = sandbox_body(
            self._cluster, spec, await self._pause_id(), oom_score_min=self._oom_min, unshares=unshares
        )
        container_id = await self._calls.create(body, container_name(self._cluster, spec))
        found = await self._started(container_id, spec.sysctls, unshares=unshares)
        return await self._written(found, spec)

    async def make_spare(self, key: str, address: str) -> Found:
        image, unshares = await self._pause_id(), self._may_unshare
        body = spare_body(self._cluster, key, address, image, oom_score_min=self._oom_min, unshares=unshares)
        container_id = await self._calls.create(body, spare_name(self._cluster, key))
        return await self._started(container_id, {}, unshares=unshares)

    async def claim(self, spec: SandboxSpec, container_id: str) -> Found:
        """A spare one becomes this pod's. Raises NotFound if it is gone."""
        await self._calls.rename(container_id, container_name(self._cluster, spec))
        found = await self._calls.inspect(container_id)
        if not found["State"]["Running"]:
            await self._calls.remove(container_id)
            raise Unavailable(f"Docker at {self._host}: the spare sandbox {container_id[:12]} has ended")
        return await self._written(found, spec)

    async def of_pod(self, pod_uid: str) -> str:
        """The id of its running sandbox, '' if there is none."""
        labels = [f"{LABEL_CLUSTER}={self._cluster}", f"{LABEL_CONTAINER}={SANDBOX}"]
        found = await self._calls.listed({"label": labels, "name": [pod_uid]}, running=True)
        return str(found[0]["Id"]) if found else ""

    async def _started(self, container_id: str, sysctls: Mapping[str, str], *, unshares: bool) -> Found:
        await self._calls.start(container_id)
        found = await self._calls.inspect(container_id)
        if found["State"]["Running"]:
            try:
                if unshares:
                    await unshared(found["State"]["Pid"])
                    network = {name: value for name, value in sysctls.items() if is_of_network(name)}
                    await set_up(found["State"]["Pid"], network)
                return found
            except NotUnshared as error:
                found = await self._calls.inspect(container_id)
                self._give_up_unsharing(str(error))
        elif unshares and not found["State"]["Error"]:
            self._give_up_unsharing("its program has ended at once")
        # A start that failed once fails for ever: the next try shall make a new one.
        await self._calls.remove(container_id)
        raise Unavailable(f"Docker at {self._host}: sandbox: {found['State']['Error'] or 'it ended at once'}")

    def _give_up_unsharing(self, why: str) -> None:
        """Something on this host forbids it. The engine makes the namespaces from now on, which takes longer."""
        log.warning("sandboxes get their network by the engine", extra={"fields": {"error": why}})
        self._may_unshare = False

    @staticmethod
    async def _written(found: Found, spec: SandboxSpec) -> Found:
        """Docker shares these files with every container that joins, so one write serves them all; a bind mount
        for each container would cost a tenth of its start."""
        hostname = f"{spec.hostname}\n" if spare_hostname(found["Config"]["Labels"]) else ""
        files = {"HostsPath": spec.hosts, "ResolvConfPath": spec.resolv_conf, "HostnamePath": hostname}

        def write() -> None:
            for name, content in files.items():
                if content and (path := found.get(name)):
                    Path(path).write_text(content, encoding="utf-8")

        await asyncio.to_thread(write)
        return found


def may_unshare(info: EngineInfo) -> bool:
    """Whether a sandbox's program makes its network namespace: where the engine would take longer and allows it.

    A user namespace for all containers (userns-remap, rootless) excludes the host's network, in which it begins; a
    default runtime of another kind would take its network for the host's for good.
    """
    major = info.version.partition(".")[0]
    confined = any(option.partition("=")[2] in ("userns", "rootless") for option in info.security)
    plain = info.default_runtime in PLAIN_RUNTIMES
    return major.isdigit() and int(major) < HOOKLESS_VERSION and plain and not confined
