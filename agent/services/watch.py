"""Tells when somebody changes nf_tables rules of this host (iptables-nft, nft, firewalld, ufw, Docker).

So what a reload of a firewall took is back in a fraction of a second. iptables-legacy tells nobody: there the
comparison every few seconds has to do.
"""

import asyncio
import logging
import socket
from contextlib import suppress
from typing import Final

log = logging.getLogger(__name__)

NETLINK_NETFILTER: Final = 12  # linux/netlink.h
NFTABLES_GROUP: Final = 1 << 6  # NFNLGRP_NFTABLES, the seventh.
MESSAGE_BYTES_MAX: Final = 64 << 10
SETTLE_SECONDS: Final = 0.1  # A reload is many commands: they are looked at together.


class RulesWatch:
    """Start it within the event loop and the network namespace that it is for."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Without a kernel that tells, `wait` only waits."""
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
            self._socket.setblocking(False)
            self._socket.bind((0, NFTABLES_GROUP))
        except OSError as error:
            log.info("changes of rules are not told here", extra={"fields": {"error": str(error)}})
            self.close()
            return
        asyncio.get_running_loop().add_reader(self._socket, self._drain)

    def close(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    async def wait(self, seconds: float) -> bool:
        """Until rules have changed and it is quiet again, or so many seconds. True: they changed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
                await asyncio.sleep(SETTLE_SECONDS)
        changed = self._changed.is_set()
        self._changed.clear()
        return changed

    def _drain(self) -> None:
        assert self._socket is not None, "a reader without its socket"
        self._changed.set()
        # More than the kernel could keep for us (ENOBUFS) is a change too.
        with suppress(OSError):
            while self._socket.recv(MESSAGE_BYTES_MAX):
                pass
