"""Long lists in pages: the first page keeps the whole list in memory for a few minutes, later pages read from that.

Bodies are shared with the view, so a kept list costs a pointer per object. Source: Kubernetes API concepts,
"Retrieving large results sets in chunks".
"""

import base64
import binascii
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import orjson
from aiohttp import web

from gitops.api.status import ContinueExpired
from gitops.kinds.errors import BadRequest
from gitops.kinds.objects import KubeObject, key_of

KEPT_LISTS_MAX: Final = 64
KEPT_FOR: Final = timedelta(minutes=5)  # As long as kube-apiserver's history.
_INCONSISTENT: Final = -1  # The version in a token that goes on at the present state.

Question = tuple[str, str, str, str]
"""Resource, namespace, label selector, field selector: what a token may not change."""


class Page(NamedTuple):
    objects: Sequence[KubeObject]
    position: int  # The resourceVersion of the whole list.
    token: str  # '': this is the last page.
    remaining: int


class _Kept(NamedTuple):
    objects: tuple[KubeObject, ...]
    since: datetime


class Pages:
    """The kept lists, at most `KEPT_LISTS_MAX`: the oldest goes first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Question, int], _Kept] = OrderedDict()

    def first(
        self, question: Question, objects: tuple[KubeObject, ...], position: int, limit: int, now: datetime
    ) -> Page:
        """The first `limit` of a new list (0: all)."""
        page = _page(objects, position, 0, limit)
        if page.token:
            self._keep(question, position, objects, now)
        return page

    def next(
        self, question: Question, token: str, limit: int, now: datetime, newest: Callable[[], Page]
    ) -> Page:
        """The page after `token`. `newest` gives the present list, whole, for a token that goes on inconsistently.

        Raises ContinueExpired if the list is not kept any more.
        """
        version, start = _read(token)
        if version == _INCONSISTENT:
            present = newest()
            objects, version = tuple(present.objects), present.position
            self._keep(question, version, objects, now)
        else:
            kept = self._kept.get((question, version))
            if kept is None or now - kept.since > KEPT_FOR:
                raise ContinueExpired(_write(_INCONSISTENT, start))
            objects = kept.objects
        after = bisect_right(objects, start, key=lambda obj: key_of(obj).text)
        return _page(objects, version, after, limit)

    def _keep(
        self, question: Question, position: int, objects: tuple[KubeObject, ...], now: datetime
    ) -> None:
        self._kept.setdefault((question, position), _Kept(objects, now))
        while len(self._kept) > KEPT_LISTS_MAX or now - next(iter(self._kept.values())).since > KEPT_FOR:
            self._kept.popitem(last=False)


PAGES: Final = web.AppKey("pages", Pages)


def _page(objects: tuple[KubeObject, ...], position: int, start: int, limit: int) -> Page:
    end = start + limit if limit else len(objects)
    remaining = max(len(objects) - end, 0)
    shown = objects[start:end]
    token = _write(position, key_of(shown[-1]).text) if remaining and shown else ""
    return Page(shown, position, token, remaining)


def _write(position: int, start: str) -> str:
    return base64.urlsafe_b64encode(
        orjson.dumps({"v": "meta.k8s.io/v1", "rv": position, "start": start})
    ).decode()


def _read(token: str) -> tuple[int, str]:
    try:
        found = orjson.loads(base64.b64decode(token, altchars=b"-_", validate=True))
        return int(found["rv"]), str(found["start"])
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise BadRequest("continue key is not valid") from error
