"""What the node was told last, on its own disk: so that after a reboot its pods start though the master is away.

Each kind that is followed has a file, sealed with a key of the node's own (AES-256-GCM, key file 0600). Secrets are
never kept: a pod that needs one waits until the master is back, and says so. What is remembered is only used when the
master does not answer the first time it is asked; from its first list on it alone counts.
"""

import asyncio
import logging
import os
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gitops.client import Client, Event, follow
from gitops.kinds.core.config import SECRET
from gitops.kinds.kind import Kind
from gitops.kinds.objects import T, key_of

log = logging.getLogger(__name__)

PRUNE_SECONDS: Final = 600.0  # After a start by then all that the pods here need is followed.
SAVE_SECONDS: Final = 2.0  # A burst of changes is one write; what a power cut takes is no older.
KEY_FILE: Final = "memory.key"
NONCE_BYTES: Final = 12
SUFFIX: Final = ".sealed"


class Memory:
    """Lists of objects by name. `folder` is made with mode 0700."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(0o700, parents=True, exist_ok=True)
        self._cipher = AESGCM(_key(folder / KEY_FILE))
        self._followed: Counter[str] = Counter()

    def recall(self, name: str) -> list[Any] | None:
        """None if nothing is known, or what is there cannot be opened: then the master has to tell."""
        try:
            content = self._path(name).read_bytes()
            clear = self._cipher.decrypt(content[:NONCE_BYTES], content[NONCE_BYTES:], name.encode())
            found: list[Any] = orjson.loads(clear)
        except FileNotFoundError:
            return None
        except (OSError, InvalidTag, ValueError) as error:
            log.warning(
                "what was remembered cannot be read", extra={"fields": {"of": name, "error": repr(error)}}
            )
            return None
        return found

    def keep(self, name: str, objects: Iterable[object]) -> None:
        """Whole or not at all, and on the disk when this returns."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, orjson.dumps(list(objects)), name.encode())
        _write(self._path(name), sealed)

    @contextmanager
    def followed(self, name: str) -> Iterator[None]:
        """While the block runs, what is known of it is not pruned."""
        self._followed[name] += 1
        try:
            yield
        finally:
            self._followed[name] -= 1

    def prune(self) -> None:
        """Take away what nobody follows now: the ConfigMaps of pods that are gone."""
        kept = {self._path(name) for name, followers in self._followed.items() if followers}
        for path in self._folder.glob(f"*{SUFFIX}"):
            if path not in kept:
                path.unlink(missing_ok=True)
        self._followed = +self._followed  # Without those that nobody follows.

    def _path(self, name: str) -> Path:
        return self._folder / f"{sha256(name.encode()).hexdigest()[:24]}{SUFFIX}"


async def keep_pruned(memory: Memory) -> None:
    """For ever."""
    while True:
        await asyncio.sleep(PRUNE_SECONDS)
        try:
            memory.prune()
        except OSError as error:
            log.warning("what was remembered is not pruned", extra={"fields": {"error": str(error)}})


async def remembering(
    memory: Memory | None,
    client: Client,
    kind: Kind[T],
    namespace: str | None = None,
    *,
    field_selector: str = "",
) -> AsyncGenerator[Event[T], None]:
    """As `follow`, with what was known last while the master is away. None and Secrets: as `follow` alone."""
    if memory is None or kind.kind == SECRET.kind:
        async with aclosing(follow(client, kind, namespace, field_selector=field_selector)) as events:
            async for event in events:
                yield event
        return
    name = f"{kind.resource} {namespace or ''} {field_selector}"
    keeper = _Keeper(memory, name)
    with memory.followed(name):
        known = await asyncio.to_thread(memory.recall, name)
        events = follow(client, kind, namespace, field_selector=field_selector, remembered=known)
        try:
            async with aclosing(events):
                async for event in events:
                    keeper.note(event)
                    yield event
        finally:
            keeper.stop()


class _Keeper:
    """Writes what is known a little after it changed."""

    def __init__(self, memory: Memory, name: str, seconds: float = SAVE_SECONDS) -> None:
        self._memory, self._name, self._seconds = memory, name, seconds
        self._objects: dict[object, object] = {}
        self._synced, self._dirty = False, False
        self._task: asyncio.Task[None] | None = None

    def note(self, event: Event[Any]) -> None:
        if event.type == "SYNCED":
            self._synced = True
        elif event.object is None:
            return
        elif event.type == "DELETED":
            self._objects.pop(key_of(event.object), None)
        else:
            self._objects[key_of(event.object)] = event.object
        self._dirty = True
        if self._synced and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._later())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _later(self) -> None:
        """What changes while a write goes on is in the next one."""
        while self._dirty:
            await asyncio.sleep(self._seconds)
            self._dirty = False
            try:
                await asyncio.to_thread(self._memory.keep, self._name, tuple(self._objects.values()))
            except OSError as error:
                log.warning("cannot remember", extra={"fields": {"of": self._name, "error": str(error)}})


def _key(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        key = AESGCM.generate_key(256)
        _write(path, key)
        return key


def _write(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
