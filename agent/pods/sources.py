"""The ConfigMaps, Secrets and RuntimeClasses that pods of this node name: each followed once, while one needs it.

A node may read only what its pods name, so it follows object by object. Values of Secrets are `Sensitive` from the
client on and are opened only where they are mounted or made an environment (`agent/volumes/references.py`).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final, cast

from agent.pods.tokens import Tokens
from agent.volumes.references import Reference, TokenWanted
from gitops.kinds.core.config import CONFIG_MAP, SECRET, ConfigMap, Secret
from gitops.kinds.core.pod import Pod
from gitops.kinds.errors import Unavailable
from gitops.kinds.kind import Kind
from gitops.kinds.node import RUNTIME_CLASS, RuntimeClass
from gitops.kinds.objects import KubeObject
from gitops.kinds.sensitive import Sensitive

log = logging.getLogger(__name__)

KNOWN_SECONDS: Final = 10.0  # How long a pod waits to hear whether an object exists before it tries again.

Follow = Callable[[Kind[KubeObject], str, str], AsyncIterator[KubeObject | None]]
"""kind, namespace, name -> its present state and every later one; None: there is none."""

KINDS: Final = {"ConfigMap": CONFIG_MAP, "Secret": SECRET, "RuntimeClass": RUNTIME_CLASS}


class Sources:
    """A `Lookup`. `changed` is called with the uid of each pod that an object concerns."""

    def __init__(self, follow: Follow, changed: Callable[[str], None], tokens: Tokens | None = None) -> None:
        self._follow, self._changed, self._tokens = follow, changed, tokens
        self._users: dict[Reference, set[str]] = {}
        self._tasks: dict[Reference, asyncio.Task[None]] = {}
        self._known: dict[Reference, asyncio.Event] = {}
        self._objects: dict[Reference, KubeObject] = {}
        self._missed: set[Reference] = set()  # Waited for in vain, and said so.

    def config_map(self, namespace: str, name: str) -> ConfigMap | None:
        return cast(ConfigMap | None, self._objects.get(Reference("ConfigMap", namespace, name)))

    def secret(self, namespace: str, name: str) -> Secret | None:
        return cast(Secret | None, self._objects.get(Reference("Secret", namespace, name)))

    def runtime_class(self, name: str) -> RuntimeClass | None:
        return cast(RuntimeClass | None, self._objects.get(Reference("RuntimeClass", "", name)))

    def token(self, wanted: TokenWanted) -> Sensitive | None:
        return self._tokens.get(wanted) if self._tokens is not None else None

    async def tokens_ready(self, pod: Pod) -> None:
        """The tokens that it mounts are there and fresh. Raises NotFound, Invalid, Unavailable."""
        if self._tokens is not None:
            await self._tokens.ready(pod)

    def use(self, uid: str, wanted: Iterable[Reference], group: asyncio.TaskGroup) -> None:
        """From now on the pod `uid` needs exactly these."""
        wanted = frozenset(wanted)
        for reference in [ref for ref, users in self._users.items() if uid in users and ref not in wanted]:
            self._leave(reference, uid)
        for reference in wanted:
            self._users.setdefault(reference, set()).add(uid)
            if reference not in self._tasks:
                self._known[reference] = asyncio.Event()
                self._tasks[reference] = group.create_task(self._keep(reference))

    def release(self, uid: str) -> None:
        """The pod needs nothing any more."""
        for reference in [ref for ref, users in self._users.items() if uid in users]:
            self._leave(reference, uid)
        if self._tokens is not None:
            self._tokens.release(uid)

    async def known(self, wanted: Iterable[Reference]) -> None:
        """Waits until of each it is known whether it exists. Raises Unavailable after KNOWN_SECONDS."""
        asked = [(reference, self._known[reference]) for reference in wanted if reference in self._known]
        try:
            async with asyncio.timeout(KNOWN_SECONDS):
                for _, known in asked:
                    await known.wait()
        except TimeoutError:
            missing = sorted(reference for reference, known in asked if not known.is_set())
            names = ", ".join(f"{one.kind} {one.namespace}/{one.name}" for one in missing)
            if not self._missed.issuperset(missing):
                log.warning(
                    "pods wait for what the master has not told", extra={"fields": {"objects": names}}
                )
            self._missed.update(missing)
            raise Unavailable(f"waits for the master, which has not told {names}") from None

    async def _keep(self, reference: Reference) -> None:
        kind = cast(Kind[KubeObject], KINDS[reference.kind])
        async for obj in self._follow(kind, reference.namespace, reference.name):
            before = self._objects.get(reference)
            if obj is None:
                self._objects.pop(reference, None)
            else:
                self._objects[reference] = obj
            first = not self._known[reference].is_set()
            self._known[reference].set()
            self._missed.discard(reference)
            if not first and before != obj:
                for uid in self._users.get(reference, ()):
                    self._changed(uid)

    def _leave(self, reference: Reference, uid: str) -> None:
        users = self._users[reference]
        users.discard(uid)
        if not users:
            del self._users[reference], self._known[reference]
            self._objects.pop(reference, None)
            self._missed.discard(reference)
            self._tasks.pop(reference).cancel()
