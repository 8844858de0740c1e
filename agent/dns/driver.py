"""The agent's side of DNS: writes the table, tells the process, starts it."""

import asyncio
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import orjson

from agent.dns import control
from agent.dns.table import DnsTable
from agent.helpers import Greeting, Helper, HelperSpec, Spawn, code_version, spawn_process
from gitops.kinds.errors import Unavailable


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """`table_file` outlives a reboot, `run_dir` does not."""

    address: str
    table_file: Path
    run_dir: Path
    spawn: Spawn = spawn_process


class DnsDriver:
    def __init__(self, settings: DnsSettings) -> None:
        self._settings = settings
        self._socket = settings.run_dir / "dns.sock"
        command = (
            *(
                sys.executable,
                "-P",
                "-m",
                "agent.dns",
            ),  # -P: no code of the directory it happens to start in.
            *("--table", str(settings.table_file)),
            *("--socket", str(self._socket)),
            *("--listen", settings.address),
        )
        self.helper = Helper(
            HelperSpec("dns", command, settings.run_dir, code_version(Path(__file__).parent)),
            self._hello,
            settings.spawn,
        )

    async def start(self, first: DnsTable) -> None:
        """Running when it returns: with its last table, or with `first` where there is none yet."""
        if not self._settings.table_file.exists():
            await asyncio.to_thread(self._write, orjson.dumps(first))
        await self.helper.ensure()

    async def apply(self, table: DnsTable) -> None:
        """The process answers from `table` when this returns. Raises Unavailable."""
        content = orjson.dumps(table)
        digest = sha256(content).hexdigest()
        if (await control.ask(self._socket, "hello"))["table"] == digest:
            return
        await asyncio.to_thread(self._write, content)
        if (await control.ask(self._socket, "reload"))["table"] != digest:
            raise Unavailable("DNS did not take its new table")

    async def _hello(self) -> Greeting:
        return await greeting(self._socket)

    def _write(self, content: bytes) -> None:
        path = self._settings.table_file
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        draft.write_bytes(content)
        draft.replace(path)


async def greeting(socket_file: Path) -> Greeting:
    """Of the process behind a socket; pid 0: one of an earlier version, which does not tell. Raises Unavailable."""
    hello = await control.ask(socket_file, "hello")
    return Greeting(hello["version"], hello.get("pid", 0))
