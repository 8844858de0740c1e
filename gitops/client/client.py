"""A small async client of the Kubernetes API: what agents, the command line and tests need, no more.

One `Client` holds one connection pool. Every error is one of `gitops.kinds.errors`: what the server answered by its
reason, and `Unavailable` for everything that the network did. Source: Kubernetes API concepts.
"""

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Generic, Literal, NamedTuple, Self, cast

import aiohttp
import orjson

from gitops.client.credentials import Credentials, load_kubeconfig
from gitops.client.unreached import why_unreached
from gitops.client.wire import error_of, error_of_body, guarded, reveal
from gitops.kinds.errors import Unavailable
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject, T

REQUEST_TIMEOUT_SECONDS: Final = 30.0
SILENCE_MAX_SECONDS: Final = (
    90.0  # Our server's bookmarks come every 30 s: three missing ones mean a dead peer.
)
WATCH_SECONDS: Final = 1_800  # As client-go: a watch is renewed every half hour.
LINE_MAX_BYTES: Final = 4 << 20  # One event; an object is at most 3 MiB.
PAGE_OBJECTS: Final = 1_000

MERGE_PATCH: Final = "application/merge-patch+json"


class Event(NamedTuple, Generic[T]):
    """One change. A BOOKMARK's object has only a resourceVersion; SYNCED (of `follow` alone) has no object."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "SYNCED"]
    object: T | None


class Found(NamedTuple, Generic[T]):
    """A list as the server had it at `resource_version`, from which a watch may go on."""

    items: tuple[T, ...]
    resource_version: str


class Client:
    """One identity at one API server. Use as `async with`, or call `close`.

    Raises: the errors of `gitops.kinds.errors`: NotFound, AlreadyExists, Conflict, … as the server answers,
    Unavailable when it cannot be reached or does not answer in time.
    """

    def __init__(self, credentials: Credentials, *, user_agent: str = "gitward-client") -> None:
        self.credentials = credentials
        self._user_agent = user_agent
        self._pool: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | None = None

    def renew(self, credentials: Credentials) -> None:
        """Show another certificate from the next connection on; those that are open go on."""
        self.credentials = credentials
        if self._tls is not None:
            credentials.show_in(self._tls)

    @classmethod
    def from_kubeconfig(cls, path: Path, *, user_agent: str = "gitward-client") -> Self:
        """The current context of a kubeconfig file; BadRequest if it cannot be used."""
        return cls(load_kubeconfig(path), user_agent=user_agent)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; watches that still run end with Unavailable."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    async def get(self, kind: Kind[T], namespace: str, name: str) -> T:
        """`namespace` is ignored for cluster-scoped kinds."""
        return cast(T, guarded(await self.request("GET", path_of(kind, namespace, name))))

    async def list(
        self,
        kind: Kind[T],
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> Found[T]:
        """Everything that matches, fetched in pages. `namespace=None`: all namespaces."""
        params = {"limit": str(PAGE_OBJECTS), **_selectors(label_selector, field_selector)}
        items: list[T] = []
        while True:
            page = await self.request("GET", path_of(kind, namespace), params=params)
            items.extend(cast(T, _typed(item, kind)) for item in page["items"])
            meta = page["metadata"]
            if not meta.get("continue"):
                return Found(tuple(items), meta["resourceVersion"])
            params["continue"] = meta["continue"]

    async def create(self, kind: Kind[T], obj: T) -> T:
        """In the namespace that its metadata names."""
        path = path_of(kind, obj["metadata"].get("namespace", "default"))
        return cast(T, guarded(await self.request("POST", path, body=obj)))

    async def update(self, kind: Kind[T], obj: T, *, subresource: str = "") -> T:
        """Replace; a resourceVersion in its metadata is a precondition (Conflict)."""
        return cast(T, guarded(await self.request("PUT", _path_to(kind, obj, subresource), body=obj)))

    async def update_status(self, kind: Kind[T], obj: T) -> T:
        """Replace the status alone."""
        return await self.update(kind, obj, subresource="status")

    async def patch(
        self, kind: Kind[T], namespace: str, name: str, patch: Mapping[str, object], *, subresource: str = ""
    ) -> T:
        """A JSON merge patch (RFC 7386)."""
        path = path_of(kind, namespace, name, subresource)
        return cast(T, guarded(await self.request("PATCH", path, body=patch, content_type=MERGE_PATCH)))

    async def delete(
        self, kind: Kind[T], namespace: str, name: str, *, grace_seconds: int | None = None, uid: str = ""
    ) -> None:
        """Ask for deletion. `uid` is a precondition: another object of the same name is left alone (Conflict)."""
        options: dict[str, object] = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if uid:
            options["preconditions"] = {"uid": uid}
        await self.request("DELETE", path_of(kind, namespace, name), body=options)

    async def watch(
        self,
        kind: Kind[T],
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncGenerator[Event[T], None]:
        """Changes after `resource_version`, bookmarks among them, until the server ends the watch. Expired: list again.

        To keep a cache use `gitops.client.follow`, which reconnects and lists again by itself.
        """
        params = {
            "watch": "true",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
            **_selectors(label_selector, field_selector),
        }
        silence = aiohttp.ClientTimeout(
            total=None, connect=REQUEST_TIMEOUT_SECONDS, sock_read=SILENCE_MAX_SECONDS
        )
        async with self._asked("GET", path_of(kind, namespace), params=params, timeout=silence) as answer:
            while line := await answer.content.readuntil(b"\n"):
                event = _event_of(line)
                if event["type"] == "ERROR":
                    raise error_of(event["object"])
                yield Event(event["type"], cast(T, guarded(event["object"])))

    async def log(
        self,
        namespace: str,
        pod: str,
        *,
        container: str = "",
        follow: bool = False,
        tail_lines: int | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """A container's output in chunks of any size; with `follow` until it ends."""
        params = {"follow": "true"} if follow else {}
        if container:
            params["container"] = container
        if tail_lines is not None:
            params["tailLines"] = str(tail_lines)
        patient = aiohttp.ClientTimeout(total=None, connect=REQUEST_TIMEOUT_SECONDS)
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        async with self._asked("GET", path, params=params, timeout=patient) as answer:
            async for chunk in answer.content.iter_any():
                yield chunk

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        patience_seconds: float = REQUEST_TIMEOUT_SECONDS,
    ) -> dict[str, Any]:
        """Any request whose answer is one JSON object, as it came (secrets not wrapped)."""
        limit = aiohttp.ClientTimeout(total=patience_seconds)
        async with self._asked(
            method, path, params=params, body=body, content_type=content_type, timeout=limit
        ) as answer:
            found: dict[str, Any] = orjson.loads(await answer.read())
            return found

    async def not_ready(self) -> str:
        """What `/readyz` complains of; '' if the server is ready. Raises Unavailable if it does not answer at all."""
        url, limit = self.credentials.url + "/readyz", aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS)
        try:
            async with self._session().get(url, timeout=limit) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unavailable(error) from error
        failed = [line[3:] for line in text.splitlines() if line.startswith("[-]")]
        return "" if answer.status < 400 else "; ".join(failed) or text.strip()

    @asynccontextmanager
    async def websocket(self, path: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """An open WebSocket, pinged every 10 seconds: a dead peer is noticed within 15."""
        try:
            name = self.credentials.server_name or None
            url = self.credentials.url + path
            async with self._session().ws_connect(url, heartbeat=10.0, server_hostname=name) as socket:
                yield socket
        except aiohttp.WSServerHandshakeError as error:
            raise error_of({"message": f"{path}: {error.message}"}, error.status) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unavailable(error) from error

    @asynccontextmanager
    async def _asked(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        timeout: aiohttp.ClientTimeout | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The one place where an answer's code and the library's errors become ours."""
        data = None if body is None else orjson.dumps(body, default=reveal)
        headers = {"Content-Type": content_type} if data is not None else {}
        limit = timeout or aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS)
        url = self.credentials.url + path
        try:
            async with self._session().request(
                method,
                url,
                params=params,
                data=data,
                headers=headers,
                timeout=limit,
                server_hostname=self.credentials.server_name or None,
            ) as answer:
                if answer.status >= 400:
                    raise error_of_body(await answer.read(), answer.status)
                yield answer
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> Unavailable:
        return Unavailable(f"API server {self.credentials.url}: {why_unreached(error)}")

    def _session(self) -> aiohttp.ClientSession:
        if self._pool is None:
            self._tls = self.credentials.tls()
            connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
            self._pool = aiohttp.ClientSession(
                connector=connector,
                headers={"Accept": "application/json", "User-Agent": self._user_agent},
                read_bufsize=LINE_MAX_BYTES,
            )
        return self._pool


def _event_of(line: bytes) -> dict[str, Any]:
    try:
        event: dict[str, Any] = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise Unavailable("the API server went away in the middle of an event") from error
    return event


def path_of(kind: Kind[Any], namespace: str | None = None, name: str = "", subresource: str = "") -> str:
    """`/apis/apps/v1/namespaces/shop/deployments/web/status`."""
    parts = ["/apis" if kind.group else "/api", kind.api_version]
    if kind.namespaced and namespace is not None:
        parts += ["namespaces", namespace]
    parts += [kind.plural, name, subresource]
    return "/".join(part for part in parts if part)


def _path_to(kind: Kind[T], obj: T, subresource: str = "") -> str:
    meta = obj["metadata"]
    return path_of(kind, meta.get("namespace", "default"), meta.get("name", ""), subresource)


def _selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    given = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {name: text for name, text in given.items() if text}


def _typed(item: dict[str, Any], kind: Kind[Any]) -> KubeObject:
    """Kubernetes leaves apiVersion and kind out of the items of a list."""
    return cast(KubeObject, guarded({"apiVersion": kind.api_version, "kind": kind.kind, **item}))
