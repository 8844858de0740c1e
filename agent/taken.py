"""Whether an address is somebody else's, before one of our helpers is started there."""

import errno
import socket

from gitops.kinds.errors import Unavailable


def refuse_taken(listen: str, advice: str) -> None:
    """Raises Unavailable if somebody listens at ADDRESS:PORT (TCP). '': nowhere, which is nobody's.

    A helper would not find out: it shares its ports with its successor (SO_REUSEPORT), and so with any other program
    of root's that does the same and would then get a part of the connections.
    """
    if not listen:
        return
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # Only who listens is in the way.
        try:
            probe.bind((host, int(port)))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise Unavailable(in_use(listen, advice)) from error


def in_use(listen: str, advice: str) -> str:
    """What the operator is told."""
    return f"{listen} is in use by another program (`gitward doctor` says which): {advice}"
