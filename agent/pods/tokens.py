"""The service accounts' tokens that pods mount: asked for when a pod needs one, asked for anew before their end.

They are kept in memory alone. A pod whose token comes by itself (admission mounted it) starts without one where the
master does not answer, so that a node that boots alone starts its pods; the file follows. Whoever asked for a token in
the manifest waits for it. Source: kubernetes/pkg/kubelet/token, 1.35.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from agent.volumes.references import TokenWanted, tokens_of
from gitops.client import Client
from gitops.client.client import path_of
from gitops.kinds.core.pod import Pod
from gitops.kinds.core.service_account import SERVICE_ACCOUNT
from gitops.kinds.errors import GitwardError, Invalid, NotFound, Unavailable
from gitops.kinds.objects import moment_of
from gitops.kinds.sensitive import Sensitive

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 5.0
RETRY: Final = timedelta(seconds=10)
RENEWED_AT: Final = 0.8  # Of its life, and in any case after a day.
AGE_MAX: Final = timedelta(hours=24)


class Token(NamedTuple):
    text: Sensitive
    ends: datetime


class _Kept(NamedTuple):
    token: Token | None
    due: datetime  # When to ask (again).


Ask = Callable[[TokenWanted], Awaitable[Token]]


def asking(client: Client) -> Ask:
    """Asks the master. Raises its errors."""

    async def ask(wanted: TokenWanted) -> Token:
        bound = {"apiVersion": "v1", "kind": "Pod", "name": wanted.pod_name, "uid": wanted.pod_uid}
        spec = {"expirationSeconds": wanted.seconds, "boundObjectRef": bound}
        if wanted.audience:
            spec["audiences"] = [wanted.audience]
        path = path_of(SERVICE_ACCOUNT, wanted.namespace, wanted.account, "token")
        answer = await client.request("POST", path, body={"spec": spec})
        status = answer["status"]
        return Token(Sensitive(status["token"]), moment_of(status["expirationTimestamp"]))

    return ask


class Tokens:
    """`ask` None: there are none to be had (a simulated node). `changed` is told the uid of a pod to look at."""

    def __init__(
        self, ask: Ask | None, changed: Callable[[str], None], clock: Callable[[], datetime]
    ) -> None:
        self._ask, self._changed, self._clock = ask, changed, clock
        self._kept: dict[TokenWanted, _Kept] = {}

    def get(self, wanted: TokenWanted) -> Sensitive | None:
        kept = self._kept.get(wanted)
        return kept.token.text if kept is not None and kept.token is not None else None

    async def ready(self, pod: Pod) -> None:
        """What the pod mounts is there and fresh. Raises NotFound, Invalid, Unavailable."""
        for wanted in tokens_of(pod):
            kept, now = self._kept.get(wanted), self._clock()
            if kept is None or now >= kept.due:
                self._kept[wanted] = await self._asked(wanted, kept.token if kept is not None else None, now)

    def release(self, pod_uid: str) -> None:
        for wanted in [one for one in self._kept if one.pod_uid == pod_uid]:
            del self._kept[wanted]

    async def run(self) -> None:
        """For ever: the pods whose tokens are due are looked at again."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for pod_uid in self.due():
                self._changed(pod_uid)

    def due(self) -> frozenset[str]:
        """The pods whose tokens are to be asked for (again)."""
        now = self._clock()
        return frozenset(wanted.pod_uid for wanted, kept in self._kept.items() if now >= kept.due)

    async def _asked(self, wanted: TokenWanted, before: Token | None, now: datetime) -> _Kept:
        """A new token; one that still counts stays where the master gives none now."""
        if self._ask is None:
            return _Kept(None, now + AGE_MAX)
        try:
            token = await self._ask(wanted)
        except GitwardError as error:
            away = isinstance(error, Unavailable)
            if (before is not None and now < before.ends) or (away and wanted.by_itself):
                facts = {"pod": wanted.pod_uid, "account": wanted.account, "error": str(error)}
                log.warning("no new token yet", extra={"fields": facts})
                return _Kept(before, now + RETRY)
            raise _told(error) from error
        life = token.ends - now
        return _Kept(token, now + min(life * RENEWED_AT, AGE_MAX))


def _told(error: GitwardError) -> GitwardError:
    kind = next((one for one in (Unavailable, NotFound) if isinstance(error, one)), Invalid)
    return kind(f"failed to fetch token: {error}")
