"""The short questions to a Docker engine about containers: one request each, on the loop, without a thread.

A pod that starts or ends asks half a dozen of them; by Docker's SDK each would cost a thread and some milliseconds.
Source: Docker Engine API 1.41.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from agent.runtime.docker_stream import DockerStream, Taken
from gitops.kinds.errors import Invalid, NotFound, Unavailable

MAKE_SECONDS: Final = 60.0  # What an engine makes may take its time.
TELL_SECONDS: Final = 10.0  # What it knows it tells at once, or it hangs.
END_SECONDS: Final = 30.0  # Until it knows that a process has ended.

Found = Mapping[str, Any]  # Docker's JSON.


class DockerCalls:
    """Each raises Unavailable if the engine does not answer in time, NotFound and Invalid with its words."""

    def __init__(self, stream: DockerStream, host: str, *, tell_seconds: float = TELL_SECONDS) -> None:
        self._stream, self._host, self._tell_seconds = stream, host, tell_seconds

    async def create(self, body: Mapping[str, Any], name: str) -> str:
        """The id; of the existing container if the name is taken. Raises NotFound for the image alone: a sandbox to
        join that is gone is Unavailable."""
        query = {"name": name}
        try:
            async with self._stream.ask(
                "POST", "/containers/create", query, body=body, timeout=MAKE_SECONDS
            ) as answer:
                return str(orjson.loads(await answer.read())["Id"])
        except Taken:
            return str((await self.inspect(name))["Id"])
        except NotFound as error:
            if "image" in str(error).lower():
                raise
            raise Unavailable(f"Docker at {self._host}: {error}") from error

    async def start(self, container_id: str) -> None:
        """A start that fails for what the container is (no such program) shows in its state, as an end."""
        try:
            await self._post(f"/containers/{container_id}/start", seconds=MAKE_SECONDS)
        except (Invalid, Unavailable) as error:
            state = (await self.inspect(container_id))["State"]
            if not state["Error"]:
                raise Unavailable(f"Docker at {self._host}: {error}") from error

    async def inspect(self, container_id: str) -> Found:
        found: Found = await self._get(f"/containers/{container_id}/json")
        return found

    async def listed(self, filters: Mapping[str, Sequence[str]], *, running: bool = False) -> list[Found]:
        query = {"all": str(int(not running)), "filters": orjson.dumps(filters).decode()}
        found: list[Found] = await self._get("/containers/json", query)
        return found

    async def rename(self, container_id: str, name: str) -> None:
        await self._post(f"/containers/{container_id}/rename", {"name": name}, seconds=self._tell_seconds)

    async def remove(self, container_id: str) -> None:
        """Killed if need be. Raises NotFound, and Taken while another removal of it goes on."""
        query = {"force": "1", "v": "1"}
        path = f"/containers/{container_id}"
        async with self._stream.ask("DELETE", path, query, timeout=MAKE_SECONDS):
            return

    async def ended(self, container_id: str) -> None:
        """Returns when the engine knows that it does not run (any more)."""
        path = f"/containers/{container_id}/wait"
        async with self._stream.ask("POST", path, timeout=END_SECONDS) as answer:
            await answer.read()

    async def _post(self, path: str, query: Mapping[str, str] | None = None, *, seconds: float) -> None:
        async with self._stream.ask("POST", path, query, timeout=seconds):
            return

    async def _get(self, path: str, query: Mapping[str, str] | None = None) -> Any:  # JSON.
        async with self._stream.ask("GET", path, query, timeout=self._tell_seconds) as answer:
            return orjson.loads(await answer.read())
