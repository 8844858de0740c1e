"""HAProxy's master socket: commands to the master, and through it to every worker, old ones included."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Final

from agent.ingress.slots import EMPTY, Slot, Slots
from agent.services.table import Backend
from gitops.kinds.errors import Unavailable

ANSWER_SECONDS_MAX: Final = 5.0
LISTENING_SECONDS_MAX: Final = 4.0  # A master that reloads reads all its files before it listens again.
RETRY_SECONDS: Final = 0.02
CONFIGURED_OFF: Final = (
    4  # The line in the file says `disabled`: this bit stays when the server is switched on.
)
COMMANDS_PER_CALL_MAX: Final = 50  # A command line of the socket has 16 KiB.
DESCRIPTION: Final = re.compile(r"^description: gitward ([0-9a-f]{16})$", re.MULTILINE | re.IGNORECASE)
UNUSED_PORT: Final = 1


class HaproxySocket:
    def __init__(self, path: Path) -> None:
        self._path = path

    async def ask(self, command: str) -> str:
        """Raises Unavailable if HAProxy does not answer. A master that reloads listens again after a moment."""
        end = monotonic() + LISTENING_SECONDS_MAX
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                while (answer := await self._try(command)) is None:
                    if monotonic() > end:
                        raise Unavailable(f"HAProxy at {self._path} does not listen")
                    await asyncio.sleep(RETRY_SECONDS)
        except (TimeoutError, OSError) as error:
            raise Unavailable(f"HAProxy at {self._path}: {error}") from error
        return answer

    async def _try(self, command: str) -> str | None:
        try:
            reader, writer = await asyncio.open_unix_connection(self._path)
        except (ConnectionRefusedError, FileNotFoundError):
            return None
        try:
            writer.write(command.encode() + b"\n")
            writer.write_eof()  # The master answers what was asked, then closes.
            return (await reader.read(-1)).decode(errors="replace")
        finally:
            writer.close()

    async def structure(self) -> str:
        """Of the current worker's configuration. Raises Unavailable if there is no worker."""
        answer = await self.ask("@1 show info")
        if (found := DESCRIPTION.search(answer)) is None:
            raise Unavailable(f"HAProxy at {self._path} has no worker of ours")
        return found[1]

    async def workers(self) -> list[int]:
        """Pids: the current one first, then those that only finish what they have. Raises Unavailable: none."""
        if found := list(parse_workers(await self.ask("show proc"))):
            return found
        raise Unavailable(f"HAProxy at {self._path} has no worker")

    async def master(self) -> int:
        """Its pid. Raises Unavailable."""
        for line in (await self.ask("show proc")).splitlines():
            words = line.split()
            if len(words) >= 2 and words[1] == "master" and words[0].isdigit():
                return int(words[0])
        raise Unavailable(f"HAProxy at {self._path} has no master")

    async def tell(self, worker: int, commands: Sequence[str]) -> None:
        """An old worker that has just ended is none of our concern."""
        for start in range(0, len(commands), COMMANDS_PER_CALL_MAX):
            part = commands[start : start + COMMANDS_PER_CALL_MAX]
            await self.ask("; ".join(f"@!{worker} {command}" for command in part))

    async def slots(self, worker: int) -> dict[str, Slots]:
        return parse_slots(await self.ask(f"@!{worker} show servers state"))

    async def open_flows(self, address: str) -> int:
        """Connections to servers of this address that carry a request now, in all workers."""
        total = 0
        for pid in await self.workers():
            total += count_used(await self.ask(f"@!{pid} show servers conn"), address)
        return total


def parse_workers(text: str) -> Iterator[int]:
    """`show proc`: lines of `pid type reloads uptime version`, current ones before old ones."""
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[1] == "worker" and words[0].isdigit():
            yield int(words[0])


def parse_slots(text: str) -> dict[str, Slots]:
    """`show servers state`: a header line names the columns; the admin state has a bit for each reason to be off."""
    found: dict[str, list[Slot]] = {}
    columns: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if line.startswith("# "):
            columns = words[1:]
        elif columns and len(words) == len(columns):
            row = dict(zip(columns, words, strict=True))
            backend = Backend(row["srv_addr"], int(row["srv_port"]))
            active = int(row["srv_admin_state"]) & ~CONFIGURED_OFF == 0
            slot = EMPTY if backend.port == UNUSED_PORT else Slot(backend, active=active)
            found.setdefault(row["be_name"], []).append(slot)
    return {name: tuple(slots) for name, slots in found.items()}


def count_used(text: str, address: str) -> int:
    """`show servers conn`: backend/server, ids, address, port, -, purge delay, connections in use, …"""
    rows = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return sum(int(words[6]) for words in rows if len(words) > 6 and words[2] == address)
