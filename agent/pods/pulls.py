"""The pulls of a node: each image once at a time, a bounded number at once, login after login until one is taken."""

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Final

from agent.pods import credential_programs
from agent.pods.credentials import CONFIG_KEY, Keyring, Login, logins_in
from agent.runtime.progress import PullProgress
from agent.runtime.protocol import ImageState, Runtime
from gitops.kinds.errors import GitwardError

BEARER: Final = "<token>"  # As helpers call whoever has an identity token instead of a password.
log = logging.getLogger(__name__)


class Pulls:
    """Pulls of a node. `config_file`: the node's own logins, in the form of Docker's config.json; read at each pull."""

    def __init__(self, runtime: Runtime, *, at_once: int = 4, config_file: Path | None = None) -> None:
        self._runtime, self._config_file = runtime, config_file
        self._places = asyncio.Semaphore(at_once)
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}
        self.pulled: Callable[[str, ImageState], None] = lambda _reference, _image: None  # Told of each one.

    async def pull(
        self, image: str, keyring: Keyring, progress: PullProgress | None = None
    ) -> tuple[ImageState, float]:
        """The image, and for how many seconds it was pulled. Raises what the registry said at the last login."""
        async with _One(self._locks, image), self._places:
            began = monotonic()
            found = await self._tried(image, keyring.of(image), progress)
        self.pulled(image, found)
        return found, monotonic() - began

    async def _tried(
        self, image: str, logins: tuple[Login, ...], progress: PullProgress | None
    ) -> ImageState:
        for login in logins[:-1]:
            try:
                return await self._runtime.pull(image, _auth(login), progress)
            except GitwardError as error:
                log.debug("a login does not fit", extra={"fields": {"image": image, "error": str(error)}})
        return await self._runtime.pull(image, _auth(logins[-1]) if logins else None, progress)

    async def node_logins(self, image: str) -> tuple[tuple[str, Login], ...]:
        """Of the node's own file: what it states, and what its helpers know for the image's registry."""
        if self._config_file is None:
            return ()
        try:
            config = await asyncio.to_thread(self._config_file.read_bytes)
            helped = await credential_programs.ask(config, image, os.environ)
            return (*logins_in(CONFIG_KEY, config), *helped)
        except OSError as error:
            log.warning(
                "the node's logins cannot be read",
                extra={"fields": {"file": str(self._config_file), "error": str(error)}},
            )
            return ()


class _One:
    """One of a name at a time: pods of one image wait for one pull, whose layers are then there."""

    def __init__(self, locks: dict[str, tuple[asyncio.Lock, int]], name: str) -> None:
        self._locks, self._name = locks, name

    async def __aenter__(self) -> None:
        lock, users = self._locks.get(self._name, (asyncio.Lock(), 0))
        self._locks[self._name] = lock, users + 1
        try:
            await lock.acquire()
        except asyncio.CancelledError:
            self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._locks[self._name][0].release()
        self._leave()

    def _leave(self) -> None:
        lock, users = self._locks[self._name]
        if users == 1:
            del self._locks[self._name]
        else:
            self._locks[self._name] = lock, users - 1


def _auth(login: Login) -> dict[str, str]:
    secret = login.password.reveal().decode()
    if login.username == BEARER:
        return {"identitytoken": secret}
    return {"username": login.username, "password": secret}
