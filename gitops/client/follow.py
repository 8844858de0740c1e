"""A cache that keeps itself: list, then watch, for ever. What a broken connection hid is told by comparing.

As client-go's reflector, with its store kept here: after any gap a new list is compared with what was last seen, so
that whoever consumes the events misses no delete.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from typing import Any, Final, Generic

from gitops.client.client import Client, Event
from gitops.kinds.errors import Expired, GitwardError, Unavailable
from gitops.kinds.keys import Key
from gitops.kinds.kind import Kind
from gitops.kinds.objects import T, key_of

log = logging.getLogger(__name__)

PAUSE_MIN_SECONDS: Final = 0.1
PAUSE_MAX_SECONDS: Final = 5.0


async def follow(
    client: Client,
    kind: Kind[T],
    namespace: str | None = None,
    *,
    field_selector: str = "",
    label_selector: str = "",
    remembered: Iterable[T] | None = None,
) -> AsyncGenerator[Event[T], None]:
    """ADDED, MODIFIED and DELETED for everything that matches, now and later; SYNCED after each complete list.

    Before the first SYNCED the consumer's cache is incomplete: do not act on absence yet. It never ends and never
    raises for what a server or network does: it reconnects with back-off (0.1 to 5 s) and says so in the log.
    `remembered` (from an earlier run) is told as a list if the server does not answer the first time, and is compared
    with its first list like any other gap.
    The last object of a DELETED event is the last one seen. Stop it by cancelling, or by `aclose`.
    """
    state = _Followed(
        client, kind, namespace, {"field_selector": field_selector, "label_selector": label_selector}
    )
    pause_seconds = PAUSE_MIN_SECONDS
    while True:
        try:
            async with aclosing(state.round()) as events:
                async for event in events:
                    pause_seconds = PAUSE_MIN_SECONDS
                    yield event
            remembered = None
        except GitwardError as error:  # The top of the loop: any answer of the server means "again, later".
            if isinstance(error, Expired):
                state.resource_version = ""
            elif isinstance(error, Unavailable) and remembered is not None and not state.resource_version:
                for event in state.recalled(tuple(remembered)):
                    yield event
                remembered = None
            level = logging.INFO if pause_seconds == PAUSE_MIN_SECONDS else logging.DEBUG  # Told once.
            log.log(
                level, "watch interrupted", extra={"fields": {"kind": kind.resource, "error": str(error)}}
            )
        await asyncio.sleep(pause_seconds)
        pause_seconds = min(pause_seconds * 2, PAUSE_MAX_SECONDS)


class _Followed(Generic[T]):
    """What was last seen, and where the watch may go on ('': a new list is needed)."""

    def __init__(
        self, client: Client, kind: Kind[T], namespace: str | None, selectors: dict[str, str]
    ) -> None:
        self._client = client
        self._kind = kind
        self._namespace = namespace
        self._selectors: dict[str, Any] = selectors
        self._seen: dict[Key, T] = {}
        self.resource_version = ""

    async def round(self) -> AsyncGenerator[Event[T], None]:
        """One list, if needed, and one watch until it ends."""
        if not self.resource_version:
            found = await self._client.list(self._kind, self._namespace, **self._selectors)
            for event in self._compared(found.items):
                yield event
            self.resource_version = found.resource_version
            yield Event("SYNCED", None)
        changes = self._client.watch(
            self._kind, self._namespace, resource_version=self.resource_version, **self._selectors
        )
        async with aclosing(changes):
            async for event in changes:
                if event.object is None:
                    continue
                self.resource_version = event.object["metadata"].get("resourceVersion", self.resource_version)
                if event.type == "DELETED":
                    self._seen.pop(key_of(event.object), None)
                elif event.type != "BOOKMARK":
                    self._seen[key_of(event.object)] = event.object
                if event.type != "BOOKMARK":
                    yield event

    def recalled(self, items: tuple[T, ...]) -> Iterator[Event[T]]:
        """What an earlier run has seen, as if it were a list."""
        yield from self._compared(items)
        yield Event("SYNCED", None)

    def _compared(self, items: tuple[T, ...]) -> list[Event[T]]:
        """What changed between what was seen and a new list. A name that was used again is a delete and an add."""
        events: list[Event[T]] = []
        now = {key_of(item): item for item in items}
        for key, old in self._seen.items():
            if key not in now or now[key]["metadata"].get("uid") != old["metadata"].get("uid"):
                events.append(Event("DELETED", old))
        for key, item in now.items():
            before = self._seen.get(key)
            if before is None or before["metadata"].get("uid") != item["metadata"].get("uid"):
                events.append(Event("ADDED", item))
            elif before["metadata"].get("resourceVersion") != item["metadata"].get("resourceVersion"):
                events.append(Event("MODIFIED", item))
        self._seen = now
        return events
