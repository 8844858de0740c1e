"""What the Docker driver does with an engine that takes connections and says nothing."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from time import monotonic

import pytest

from agent.runtime.docker import DockerRuntime
from gitops.kinds.errors import Unavailable

ANSWERS = {
    "version": {"ApiVersion": "1.41"},
    "info": {
        "ServerVersion": "20.10.24", "OperatingSystem": "Debian", "KernelVersion": "6.1", "Architecture": "x86_64",
        "NCPU": 2, "MemTotal": 4 << 30,
    },
}  # fmt: skip


class Engine(ThreadingMixIn, UnixStreamServer):
    """Tells who it is, and then hangs until `go_on`."""

    def __init__(self, path: Path) -> None:
        self.go_on = threading.Event()
        super().__init__(str(path), Answering)


class Answering(BaseHTTPRequestHandler):
    server: Engine

    def do_GET(self) -> None:
        answer = ANSWERS.get(self.path.rpartition("/")[2])
        if answer is None:
            self.server.go_on.wait()
            return
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[str]:
    engine = Engine(tmp_path / "docker.sock")
    serving = threading.Thread(target=engine.serve_forever)
    serving.start()
    yield f"unix://{tmp_path}/docker.sock"
    engine.go_on.set()
    engine.shutdown()
    serving.join()
    engine.server_close()


def test_an_engine_that_hangs_is_told_soon_and_in_plain_words(hanging: str) -> None:
    async def scenario() -> None:
        runtime = await DockerRuntime.connect(hanging, cluster="c1", tell_seconds=0.2)
        began = monotonic()
        try:
            with pytest.raises(Unavailable, match=rf"^Docker at {hanging} does not answer$"):
                await runtime.states()
        finally:
            await runtime.close()
        assert monotonic() - began < 5

    asyncio.run(scenario())
