"""A forge for tests: an HTTP server on loopback that records what it is told and answers as it is asked to."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Told(NamedTuple):
    """A request. `state` and `commit` are taken from it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def state(self) -> str:
        return str(self.body["state"])

    @property
    def commit(self) -> str:
        return self.path.rpartition("/statuses/")[2]


class Answer(NamedTuple):
    code: int = 201
    headers: tuple[tuple[str, str], ...] = ()
    body: str = "{}"
    wait: threading.Event | None = None  # Answered when it is set.


class ForgeServer:
    """`answers` are given in turn, then always the last of them."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/acme/shop"
        self.told: list[Told] = []
        self.answers: list[Answer] = [Answer()]

    def states(self) -> list[tuple[str, str]]:
        """(commit, state) in order."""
        return [(one.commit, one.state) for one in self.told]

    def next_answer(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def forge() -> Iterator[ForgeServer]:
    served: ForgeServer

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served.told.append(Told(self.path, dict(self.headers.items()), body))
            answer = served.next_answer()
            if answer.wait is not None:
                answer.wait.wait(20)
            self.send_response(answer.code)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body.encode())

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 # The base class' name.
            """Nothing: pytest shows what fails."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = ForgeServer(server.server_port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
