"""Which pod has which address on this node."""

from collections.abc import Iterable
from typing import Protocol


class Range(Protocol):
    def pick_address(self, used: Iterable[str]) -> str:
        """A free address of this node. Raises Unavailable if there is none."""
        ...


class Addresses:
    """Read back from the labels of sandboxes at the start."""

    def __init__(self, network: Range) -> None:
        self._network = network
        self._of: dict[str, str] = {}

    def has(self, uid: str) -> bool:
        return uid in self._of

    def is_used(self, address: str) -> bool:
        return address in self._of.values()

    def known(self, uid: str, address: str) -> None:
        self._of[uid] = address

    def take(self, uid: str) -> str:
        """The pod's address, a free one if it has none. Raises Unavailable if there is none."""
        if uid not in self._of:
            self._of[uid] = self._network.pick_address(self._of.values())
        return self._of[uid]

    def release(self, uid: str) -> None:
        self._of.pop(uid, None)
