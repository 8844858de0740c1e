"""What every handler may ask of the application and of a request: typed keys, and nothing else."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from aiohttp import web

from gitops.admission import Mint
from gitops.admission import Settings as ClusterSettings
from gitops.api.jwt import TokenKeys
from gitops.kinds.also_served import AlsoServed
from gitops.kinds.commits import FactsOf, StatedAt
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject
from gitops.store.contract import Store

BODY_MAX_BYTES: Final = 3 << 20  # As kube-apiserver: --max-request-body-bytes of etcd's limit.


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator or a test may turn. The defaults are Kubernetes'.

    Attributes:
        watch_seconds: how long a watch lives whose client names no `timeoutSeconds`.
        bookmark_seconds: how often a watch that allows bookmarks gets one; `gitops.client` counts on 30.
    """

    watch_seconds: float = 2_700.0
    bookmark_seconds: float = 30.0


class User(NamedTuple):
    """Who asks: from the client certificate, or a service account's token."""

    name: str
    groups: frozenset[str]


class Target(NamedTuple):
    """What a URL names. `namespace` '': all namespaces, or none. `name` '': the collection.

    `kind` is what is stored; `also`: the URL names it in another version or group.
    """

    kind: Kind[Any]
    namespace: str
    name: str = ""
    subresource: str = ""
    also: AlsoServed | None = None

    @property
    def wire(self) -> Kind[Any]:
        """The kind as the client knows it."""
        return self.also.kind if self.also else self.kind

    def shown(self, stored: KubeObject) -> KubeObject:
        """What is stored, in the client's words."""
        return self.also.show(stored) if self.also else stored

    def taken(self, written: KubeObject, old: KubeObject | None) -> KubeObject:
        """What a client wrote in place of `old`, as it is stored. Raises Invalid."""
        return self.also.take(written, old) if self.also else written

    @property
    def place(self) -> str:
        """`pods/status`, as messages name it."""
        return f"{self.kind.plural}/{self.subresource}" if self.subresource else self.kind.plural


Clock = Callable[[], datetime]
Trigger = Callable[[str], Awaitable[None] | None]
"""Told the name of a source to look at now: only a hint."""

STORE: Final = web.AppKey("store", Store)
SETTINGS: Final = web.AppKey("settings", Settings)
CLUSTER: Final = web.AppKey("cluster", ClusterSettings)
CLOCK: Final[web.AppKey[Clock]] = web.AppKey("clock")
MINT: Final = web.AppKey("mint", Mint)
TRIGGER: Final[web.AppKey[Trigger]] = web.AppKey("trigger")
FACTS: Final[web.AppKey[FactsOf]] = web.AppKey("facts")
STATED_AT: Final[web.AppKey[StatedAt]] = web.AppKey("stated_at")
VERSION: Final = web.AppKey("version", str)
TOKEN_KEYS: Final = web.AppKey("token_keys", TokenKeys)

USER: Final = web.RequestKey("user", User)
TARGET: Final = web.RequestKey("target", Target)
REQUEST_ID: Final = web.RequestKey("request_id", str)
STREAMING: Final = web.RequestKey("streaming", bool)  # Set once an answer that goes on has begun.
