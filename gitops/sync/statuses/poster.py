"""Posts what is wanted, one source apart from another: the newest state, with back-off, and remembers what was posted.

Level, not edge: what is posted is what the source's status says when the forge can be asked. A state that passed while
it could not is never told.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import aiohttp

from gitops.kinds.errors import GitwardError, Unavailable
from gitops.kinds.gitward import GIT_SOURCE, GitSource, GitSourceStatus
from gitops.kinds.sensitive import Sensitive
from gitops.reconcile import Reader
from gitops.store.contract import Batch, Position, Put, Store, Txn
from gitops.sync.statuses.forges import Forge, Request, authorization, is_done, request_of, target_of
from gitops.sync.statuses.tokens import TokenFile
from gitops.sync.statuses.wanted import Report, is_posted, wanted

log = logging.getLogger(__name__)

ACTOR: Final = "statuses"
CALL_SECONDS_MAX: Final = 15.0
PAUSE_SECONDS: Final = 2.0
PAUSE_SECONDS_MAX: Final = 600.0
ANSWER_BYTES_MAX: Final = 4096
ANSWER_CHARACTERS_SHOWN: Final = 200
AGAIN_SOON: Final = (408, 425, 429)  # Of the codes that blame us.


class _Refused(GitwardError):
    """Trying again soon is of no use, or not wanted: `pause_seconds`."""

    def __init__(self, message: str, pause_seconds: float = PAUSE_SECONDS_MAX) -> None:
        super().__init__(message)
        self.pause_seconds = min(pause_seconds, PAUSE_SECONDS_MAX)


class Poster:
    """Belongs to the event loop. One task for each source that has something to tell."""

    def __init__(
        self,
        store: Store,
        tokens: TokenFile,
        is_told: Callable[[GitSource], bool],
        *,
        epoch: int | None = None,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        """`is_told`: which sources tell their forge. Not those that an object in git states: whose repository they
        name, and with whose token, would not be theirs to decide."""
        self._store, self._tokens, self._epoch = store, tokens, epoch
        self._is_told = is_told
        self._pause_seconds = pause_seconds
        self._due: set[str] = set()
        self._woken = asyncio.Event()
        self._busy: dict[str, asyncio.Task[None]] = {}

    def noted(self, batch: Batch) -> None:
        """For `Store.subscribe`: which sources to look at."""
        for change in batch.changes:
            if (change.key.group, change.key.kind) == (GIT_SOURCE.group, GIT_SOURCE.kind):
                self._due.add(change.key.name)
                self._woken.set()

    async def run(self) -> None:
        """Until cancelled."""
        self._due.update(source["metadata"].get("name", "") for source in self._store.view().list(GIT_SOURCE))
        self._woken.set()
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=CALL_SECONDS_MAX), trust_env=True
            ) as session,
            asyncio.TaskGroup() as group,
        ):
            while True:
                await self._woken.wait()
                self._woken.clear()
                for name in self._due - self._busy.keys():
                    self._due.discard(name)
                    if self._next(name) is not None:
                        self._busy[name] = group.create_task(
                            self._tell(name, session), name=f"status of {name}"
                        )

    async def _tell(self, name: str, session: aiohttp.ClientSession) -> None:
        """Until there is nothing left to tell. Failures are told once each kind, and tried again."""
        pause_seconds, said = self._pause_seconds, ""
        try:
            while (due := self._next(name)) is not None:
                source, report = due
                try:
                    await self._post(name, source, report, session)
                    pause_seconds, said = self._pause_seconds, ""
                    continue
                except (GitwardError, aiohttp.ClientError, TimeoutError, ValueError) as error:
                    why = str(error) or type(error).__name__
                    wait_seconds = error.pause_seconds if isinstance(error, _Refused) else pause_seconds
                if why != said:
                    facts = {"source": name, "commit": report.commit, "error": why}
                    log.warning("commit status not posted: it will be tried again", extra={"fields": facts})
                await asyncio.sleep(wait_seconds)
                said, pause_seconds = why, min(pause_seconds * 2, PAUSE_SECONDS_MAX)
        except Exception:  # The top of the loop: a bug in here must not end the master.
            log.exception("commit statuses of a source failed", extra={"fields": {"source": name}})
        finally:
            del self._busy[name]
            if name in self._due:
                self._woken.set()

    def _next(self, name: str) -> tuple[GitSource, Report] | None:
        """What is to be told now, if anything, and of which source."""
        source = self._store.view().get(GIT_SOURCE, GIT_SOURCE.key("", name))
        if source is None or not self._is_told(source):
            return None
        report = wanted(source)
        return None if report is None or is_posted(source, report) else (source, report)

    async def _post(
        self, name: str, source: GitSource, report: Report, session: aiohttp.ClientSession
    ) -> None:
        target = target_of(source["spec"])
        if target is None:
            raise _Refused("which forge it is cannot be told from its URL; see --forge")
        token = await asyncio.to_thread(self._tokens.token_for, name, target.host)
        if token is None:
            raise _Refused(f"there is no token for {target.host} in --forge-token-file")
        request = request_of(target, report, f"gitward/{name}")
        await _call(session, target.forge, request, token)
        facts = {"source": name, "commit": report.commit, "state": str(report.state)}
        log.info("commit status posted", extra={"fields": facts})
        await self._store.transact(lambda view: _posted(view, name, report, self._epoch))


async def _call(session: aiohttp.ClientSession, forge: Forge, request: Request, token: Sensitive) -> None:
    """Redirects are not followed: a token is for one host. _Refused, Unavailable: what was answered."""
    secret = token.reveal().decode()
    header, value = authorization(forge, secret)
    async with session.post(
        request.url, json=request.body, headers={header: value}, allow_redirects=False
    ) as response:
        answer = (await response.content.read(ANSWER_BYTES_MAX)).decode(errors="replace")
        code, asked = response.status, response.headers.get("Retry-After", "")
    if is_done(forge, code, answer):
        return
    # A forge may send back what it got.
    shown = answer.replace(value, "<token>").replace(secret, "<token>")[:ANSWER_CHARACTERS_SHOWN]
    message = f"{request.url} answered {code}: {shown!r}"
    if asked.isascii() and asked.isdigit() and len(asked) < 7:
        raise _Refused(message, float(asked))
    if code < 500 and code not in AGAIN_SOON:
        raise _Refused(message)
    raise Unavailable(message)


def _posted(view: Reader, name: str, report: Report, epoch: int | None) -> Txn:
    found = view.get(GIT_SOURCE, GIT_SOURCE.key("", name))
    if found is None:
        raise Unavailable(f"source {name} is gone")
    status: GitSourceStatus = {
        **(found.get("status") or GitSourceStatus()),
        "posted": {"commit": report.commit, "state": str(report.state)},
    }
    told: GitSource = {**found, "status": status}
    put = Put(told, expect=Position(int(found["metadata"]["resourceVersion"])))
    return Txn((put,), actor=ACTOR, cause=report.commit, epoch=epoch)
