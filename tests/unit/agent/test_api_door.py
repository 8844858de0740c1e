"""The way of pods to the API: one pod alone cannot take it from the others, and who is gone holds no place."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from shutil import which

import pytest

from agent.api_door import CONNECTIONS_OF_POD_MAX, ApiDoor


@asynccontextmanager
async def a_door() -> AsyncIterator[int]:
    """Its port, before a master that answers with what it is asked."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    master = await asyncio.start_server(echo, "127.0.0.1", 0)
    door = ApiDoor("127.0.0.1", f"https://127.0.0.1:{master.sockets[0].getsockname()[1]}", port)
    await door.start()
    try:
        yield port
    finally:
        await door.close()
        master.close()


async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """What comes back; b'' from a door that is shut."""
    try:
        writer.write(b"hello")
        async with asyncio.timeout(20):
            return await reader.read(100)
    except ConnectionError:
        return b""


def test_one_pod_has_its_share_of_connections_and_others_theirs() -> None:
    async def scenario() -> tuple[bytes, ...]:
        async with a_door() as port:
            held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS_OF_POD_MAX)]
            last = await asked(*held[-1])
            beyond = await asked(*await asyncio.open_connection("127.0.0.1", port))
            neighbour = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
            other = await asked(*neighbour)
            held[-1][1].close()
            while not (freed := await asked(*await asyncio.open_connection("127.0.0.1", port))):
                await asyncio.sleep(0.02)
            return last, beyond, other, freed

    assert asyncio.run(asyncio.wait_for(scenario(), 60)) == (b"hello", b"", b"hello", b"hello")


@pytest.mark.skipif(which("ss") is None, reason="not installed: ss")
def test_a_pod_that_vanishes_in_silence_is_asked_whether_it_is_there() -> None:
    async def scenario() -> str:
        async with a_door() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await asked(reader, writer) == b"hello"
            return subprocess.run(
                ("ss", "-tnoH", "state", "established", "sport", "=", f":{port}"),
                capture_output=True,
                text=True,
                check=True,
            ).stdout

    assert "timer:(keepalive" in asyncio.run(asyncio.wait_for(scenario(), 60))
