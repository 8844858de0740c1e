"""The server that carries the application: waitress, with bounds on what a stranger can make it hold."""

from typing import Any, Final

import waitress
from flask import Flask

from webhooks.app import BODY_BYTES_MAX

THREADS: Final = 4
CONNECTIONS_MAX: Final = 200
HEADER_BYTES_MAX: Final = 64 * 1024
IDLE_SECONDS_MAX: Final = 30  # A sender that trickles loses its connection.


def make_server(app: Flask, host: str, port: int) -> Any:
    """A server with `run`, `close` and `effective_port`. OSError: the address cannot be listened on.

    The body is read before the application sees the request, so its limit must hold here too: waitress' own is 1 GB.
    """
    return waitress.create_server(
        app,
        host=host,
        port=port,
        threads=THREADS,
        ident="gitward",
        connection_limit=CONNECTIONS_MAX,
        max_request_header_size=HEADER_BYTES_MAX,
        max_request_body_size=BODY_BYTES_MAX + 1,
        channel_timeout=IDLE_SECONDS_MAX,
        cleanup_interval=IDLE_SECONDS_MAX // 3,
    )
