"""Long lists in pages: the first page keeps the whole list in memory for a few minutes, later pages read from that.

What is kept of an object is what the view held of it, its packed body: a pointer. Lists of the past are not kept: the
store lists them anew. Source: Kubernetes API concepts,
"Retrieving large results sets in chunks".
"""

import base64
import binascii
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Final, NamedTuple

import orjson
from aiohttp import web

from gitops.api.status import ContinueExpired
from gitops.kinds.errors import BadRequest
from gitops.kinds.objects import KubeObject, key_of
from gitops.store.contract import Position

KEPT_LISTS_MAX: Final = 64
KEPT_FOR: Final = timedelta(minutes=5)  # As long as kube-apiserver's history.
DIGEST_BYTES: Final = 8
_INCONSISTENT: Final = -1  # The version in a token that goes on at the present state.

Question = tuple[str, str, str, str]
"""Resource, namespace, label selector, field selector: what a token may not change."""


class Page(NamedTuple):
    objects: Sequence[KubeObject]
    position: int  # The resourceVersion of the whole list.
    token: str  # '': this is the last page.
    remaining: int


class _Kept(NamedTuple):
    objects: Sequence[KubeObject]
    since: datetime


class Pages:
    """The kept lists, at most `KEPT_LISTS_MAX`: the oldest goes first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Question, int], _Kept] = OrderedDict()

    def first(
        self, question: Question, objects: Sequence[KubeObject], position: int, limit: int, now: datetime
    ) -> Page:
        """The first `limit` of a new list (0: all)."""
        page = _page(question, objects, position, 0, limit)
        if page.token:
            self._keep(question, position, objects, now)
        return page

    def next(
        self, question: Question, token: str, limit: int, now: datetime, newest: Callable[[], Page]
    ) -> Page:
        """The page after `token`. `newest` gives the present list, whole, for a token that goes on inconsistently.

        Raises ContinueExpired if the list is not kept any more.
        """
        version, start, _ = _read(token)
        if version == _INCONSISTENT:
            present = newest()
            objects, version = present.objects, present.position
            self._keep(question, version, objects, now)
        else:
            kept = self._kept.get((question, version))
            if kept is None or now - kept.since > KEPT_FOR:
                raise ContinueExpired(_write(question, _INCONSISTENT, start))
            objects = kept.objects
        return page_after(question, objects, version, start, limit)

    def _keep(self, question: Question, position: int, objects: Sequence[KubeObject], now: datetime) -> None:
        self._kept.setdefault((question, position), _Kept(objects, now))
        while len(self._kept) > KEPT_LISTS_MAX or now - next(iter(self._kept.values())).since > KEPT_FOR:
            self._kept.popitem(last=False)


PAGES: Final = web.AppKey("pages", Pages)


def page_after(
    question: Question, objects: Sequence[KubeObject], position: int, start: str, limit: int
) -> Page:
    """The first `limit` of a whole list behind the key text `start` (limit 0: all)."""
    after = bisect_right(objects, start, key=lambda obj: key_of(obj).text) if start else 0
    return _page(question, objects, position, after, limit)


def position_in(question: Question, token: str) -> tuple[Position, str] | None:
    """Of which version a token's list is, and behind which key it goes on; None: it answers another question."""
    version, start, asked = _read(token)
    return (Position(version), start) if asked == _digest(question) else None


def _page(question: Question, objects: Sequence[KubeObject], position: int, start: int, limit: int) -> Page:
    end = start + limit if limit else len(objects)
    remaining = max(len(objects) - end, 0)
    shown = objects[start:end]
    token = _write(question, position, key_of(shown[-1]).text) if remaining and shown else ""
    return Page(shown, position, token, remaining)


def _write(question: Question, position: int, start: str) -> str:
    found = {"v": "meta.k8s.io/v1", "rv": position, "start": start, "of": _digest(question)}
    return base64.urlsafe_b64encode(orjson.dumps(found)).decode()


def _digest(question: Question) -> str:
    return blake2b("\0".join(question).encode(), digest_size=DIGEST_BYTES).hexdigest()


def _read(token: str) -> tuple[int, str, str]:
    try:
        found = orjson.loads(base64.b64decode(token, altchars=b"-_", validate=True))
        return int(found["rv"]), str(found["start"]), str(found["of"])
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise BadRequest("continue key is not valid") from error
