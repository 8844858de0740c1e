"""Packing: a body is deflated against the body of a sibling, of which most of it is a copy.

A window of 8 KB and little memory for each packer: with zlib's defaults, making its tables costs more than the work.
A dictionary is a plain body, never a packed one, so nothing depends on a chain. Sealed bodies are not packed: what
cannot be told apart from noise does not shrink, and a size must not tell what two secrets have in common.
"""

import zlib
from typing import Any, Final, cast

import orjson

from gitops.entry import Opener, Position
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject
from gitops.store.contract import StoreUnusable
from gitops.store.seal import Sealer

LEVEL: Final = 3
WINDOW_BITS: Final = -13  # Raw deflate: a checksum of each pod is not worth its bytes.
WINDOW_BYTES: Final = 1 << 13
MEMORY_LEVEL: Final = 5
SMALL_BYTES: Final = 128  # Below this, nothing is won.
GROWTH: Final = 1.25  # A body that outgrew its dictionary by so much makes a better one.


class Plain(Opener):
    """Bodies that are JSON as it is."""

    __slots__ = ()

    def open(self, key: Key, at: Position, body: bytes) -> KubeObject:
        return _stamped(key, body, at)


class Sealed(Opener):
    """Bodies with sealed leaves: plain JSON around them."""

    __slots__ = ("_sealer",)

    def __init__(self, sealer: Sealer) -> None:
        super().__init__()
        self._sealer = sealer

    def open(self, key: Key, at: Position, body: bytes) -> KubeObject:
        obj = self._sealer.decode(key, body, sealed=True)
        obj["metadata"]["resourceVersion"] = str(at)
        return obj


class Dictionary(Opener):
    """What bodies of one owner (or one kind) are packed against; immutable.

    Attributes:
        packed_bodies: how many it has packed in this life of the process.
    """

    __slots__ = ("_packer", "_window", "id", "packed_bodies")
    alike = True

    def __init__(self, number: int, body: bytes) -> None:
        super().__init__()
        self.id, self.packed_bodies = number, 0
        self._window = body[-WINDOW_BYTES:]
        self._packer: Any = None  # zlib gives its compressors no name to be typed by.

    @classmethod
    def stored(cls, number: int, body: bytes) -> "Dictionary":
        """Of what `stored_dictionary` gave. StoreUnusable: it is damaged."""
        try:
            return cls(number, zlib.decompress(body))
        except zlib.error as error:
            raise StoreUnusable(f"dictionary {number} is damaged ({error}): restore a backup") from error

    def warm(self) -> None:
        """Keep a compressor that has read the dictionary (40 KB): to copy it takes half as long as to make one."""
        self._packer = self._fresh()

    def cool(self) -> None:
        self._packer = None

    def pack(self, body: bytes) -> bytes:
        self.packed_bodies += 1
        packer = self._packer.copy() if self._packer else self._fresh()
        return cast("bytes", packer.compress(body) + packer.flush())

    def _fresh(self) -> Any:
        return zlib.compressobj(LEVEL, zlib.DEFLATED, WINDOW_BITS, MEMORY_LEVEL, zdict=self._window)

    def unpack(self, packed: bytes) -> bytes:
        """Raises zlib.error for what it did not pack."""
        unpacker = zlib.decompressobj(WINDOW_BITS, zdict=self._window)
        return unpacker.decompress(packed) + unpacker.flush()

    def open(self, key: Key, at: Position, body: bytes) -> KubeObject:
        try:
            plain = self.unpack(body)
        except zlib.error as error:
            raise _damaged(key, error) from error
        return _stamped(key, plain, at)

    def is_outgrown(self, body: bytes) -> bool:
        """Whether `body` would serve better: an object gains a status, fields and managers in its life."""
        return len(self._window) < WINDOW_BYTES and len(body) > len(self._window) * GROWTH


PLAIN: Final = Plain()


def stored_dictionary(body: bytes) -> bytes:
    """A body as the dictionary that it becomes; what lies before the window is of no use."""
    return zlib.compress(body[-WINDOW_BYTES:], LEVEL)


def _stamped(key: Key, body: bytes, at: Position) -> KubeObject:
    try:
        obj = cast("KubeObject", orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise _damaged(key, error) from error
    obj["metadata"]["resourceVersion"] = str(at)
    return obj


def _damaged(key: Key, error: Exception) -> StoreUnusable:
    return StoreUnusable(f"{key}: the stored body is damaged ({error}): restore a backup")
