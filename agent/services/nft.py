"""Running nftables: by its library in this process (0.2 ms for a change), else by its program (3 ms and more)."""

import ctypes
import re
import shutil
from contextlib import suppress
from typing import Final

from agent.services.backend import run
from agent.services.nftables import TABLE
from gitops.kinds.errors import Unavailable

LIBRARY: Final = "libnftables.so.1"
VERSION_MIN: Final = (1, 0, 6)  # Maps by concatenations with a number in them.


class Nft:
    """One context of the library, for one thread. Raises Unavailable with nft's words."""

    def __init__(self) -> None:
        self._library: ctypes.CDLL | None = None
        with suppress(OSError, AttributeError):
            library = ctypes.CDLL(LIBRARY)
            library.nft_ctx_new.restype = ctypes.c_void_p
            library.nft_ctx_new.argtypes = [ctypes.c_uint32]
            library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
            for name in ("nft_ctx_buffer_error", "nft_ctx_buffer_output", "nft_ctx_get_error_buffer"):
                getattr(library, name).argtypes = [ctypes.c_void_p]
            library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
            self._context = library.nft_ctx_new(0)
            library.nft_ctx_buffer_error(self._context)
            library.nft_ctx_buffer_output(self._context)
            self._library = library

    def load(self, text: str) -> None:
        """One transaction: all of it or nothing."""
        if self._library is None:
            run(("nft", "-f", "-"), text)
        elif self._library.nft_run_cmd_from_buffer(self._context, text.encode()) != 0:
            told = self._library.nft_ctx_get_error_buffer(self._context) or b""
            raise Unavailable(f"nft: {told.decode(errors='replace').strip()[:2000]}")

    def chains(self) -> str:
        """Our chains with their rules, without the elements of maps. '': there is no such table."""
        try:
            return run(("nft", "-s", "-t", "list", "table", "ip", TABLE))
        except Unavailable as error:
            if "No such file" in str(error):
                return ""
            raise

    def remove(self) -> None:
        """Our table; fine if there is none."""
        self.load(f"table ip {TABLE}\ndelete table ip {TABLE}\n")


def is_usable() -> bool:
    """Whether this host's nft can hold our table."""
    if shutil.which("nft") is None:
        return False
    try:
        found = re.search(r"v(\d+)\.(\d+)\.(\d+)", run(("nft", "--version")))
    except Unavailable:
        return False
    return found is not None and tuple(int(part) for part in found.groups()) >= VERSION_MIN
