"""By which of its addresses other hosts reach this one."""

import socket
from typing import Final

LOOPBACK: Final = "127.0.0.1"
ELSEWHERE: Final = "192.0.2.1"  # TEST-NET-1: nobody's.
DISCARD_PORT: Final = 9


def own_address(towards: str) -> str:
    """Where packets to a host ('': elsewhere) come from; loopback where there is no way. Nothing is sent."""
    for host in (towards, ELSEWHERE) if towards else (ELSEWHERE,):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((host, DISCARD_PORT))
                found = str(probe.getsockname()[0])
            except OSError:
                continue
            if not found.startswith("127."):
                return found
    return LOOPBACK
