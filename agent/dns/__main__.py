"""`python -m agent.dns --table FILE --socket CTL --listen ADDRESS[:PORT]`: starts from its last table, agent or not."""

import argparse
import asyncio
import errno
import logging
import os
import signal
import sys
from hashlib import sha256
from pathlib import Path
from typing import Final

import orjson

from agent.dns import control
from agent.dns.control import Hello, Question
from agent.dns.server import DnsServer
from agent.helpers import code_version
from agent.taken import in_use

ADVICE: Final = (
    "let it listen on its own addresses alone (dnsmasq: bind-interfaces), or choose another --service-cidr"
)


class _Program:
    """What it serves now, and how to read it again."""

    def __init__(self, table_file: Path) -> None:
        self._table_file = table_file
        content = table_file.read_bytes()
        self.server = DnsServer(orjson.loads(content))
        self._hello = Hello(
            version=code_version(Path(__file__).parent), pid=os.getpid(), table=sha256(content).hexdigest()
        )

    def answer(self, question: Question) -> Hello:
        if question == "reload":
            content = self._table_file.read_bytes()
            self.server.load(orjson.loads(content))
            self._hello["table"] = sha256(content).hexdigest()
        return self._hello

    async def run(self, socket_file: Path, address: str, port: int) -> None:
        """Until SIGTERM."""
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        await self.server.start(address, port)
        controls = await control.serve(socket_file, self.answer)
        await stopped.wait()
        controls.close()
        await self.server.close()


def main() -> None:
    logging.basicConfig(level=logging.INFO)
    parser = argparse.ArgumentParser(prog="agent.dns")
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--listen", required=True, help="ADDRESS[:PORT], port 53 by default")
    arguments = parser.parse_args()
    address, _, port = arguments.listen.partition(":")
    try:
        asyncio.run(_Program(arguments.table).run(arguments.socket, address, int(port or 53)))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        sys.exit(in_use(f"{address}:{port or 53}", ADVICE))


if __name__ == "__main__":
    main()
