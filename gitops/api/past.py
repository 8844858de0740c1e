"""`GET /gitward/v1/get`: objects as they are, or as they were at a commit or a revision; as a list, or as a table."""

from typing import Final

from aiohttp import web

from gitops.api.context import CLOCK, STORE, Target
from gitops.api.gitward import allow_operators, answer, hidden, target_asked
from gitops.api.represent import Representation, encode_list
from gitops.kinds.errors import BadRequest, NotFound
from gitops.kinds.gitward import GIT_SOURCE
from gitops.kinds.objects import KubeObject
from gitops.store.contract import Revision, Scope, Store

PREFIX_MIN: Final = 4  # Digits of a commit's id, as git.
_HEX: Final = frozenset("0123456789abcdef")


async def get(request: web.Request) -> web.Response:
    """`?resource=…&namespace=…&name=…&at=…&as=Table`. NotFound: no such object, or a commit that was never declared;
    Expired: the past does not reach so far back."""
    allow_operators(request)
    target, store = target_asked(request), request.app[STORE]
    at = request.query.get("at", "")
    if at:
        revision = await moment_of(store, at)
        found = await _at(store, target, revision)
    else:
        revision = Revision(store.view().revision)
        found = _now(store, target)
    if target.name and not found:
        when = f" at {at}" if at else ""
        raise NotFound(f'{target.kind.resource} "{target.name}" not found{when}')
    objects = tuple(hidden(obj) for obj in found)
    meta: dict[str, object] = {"resourceVersion": str(revision)}
    if request.query.get("as") == "Table":
        now = request.app[CLOCK]()
        body = await encode_list(objects, target, Representation.TABLE, meta, now, "Metadata")
        return web.Response(body=body, content_type="application/json")
    if target.name:
        return answer(objects[0])
    return answer({"apiVersion": "v1", "kind": "List", "metadata": meta, "items": objects})


async def moment_of(store: Store, text: str) -> Revision:
    """The revision that `text` names.

    A commit (at least 4 digits of its id) stands for the last moment at which it was the declared one: just before the
    next commit of its source was, or now. So all that it brought about can be seen. Whole numbers are revisions.
    """
    newest = Revision(store.view().revision)
    if text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= newest:
        return Revision(int(text))
    prefix = text.lower()
    if len(prefix) < PREFIX_MIN or not set(prefix) <= _HEX:
        raise BadRequest(f"at: found {text!r}, wanted a commit or a revision up to {newest}")
    ends: dict[str, Revision] = {}
    for source in tuple(store.view().list(GIT_SOURCE)):
        for commit, end in await _ends(store, source["metadata"].get("name", ""), newest):
            if commit.startswith(prefix):  # Where several sources declared it: before any of them went on.
                ends[commit] = min(end, ends.get(commit, newest))
    if not ends:
        raise NotFound(f"no source declared a commit {text}: see `gitward history`")
    if len(ends) > 1:
        raise BadRequest(f"commit {text} may be any of {', '.join(sorted(ends))}")
    return next(iter(ends.values()))


async def _ends(store: Store, source: str, newest: Revision) -> list[tuple[str, Revision]]:
    """Each commit of a source with the last revision at which it was the declared one."""
    commits = await store.commits(source)
    ends = [newest, *(Revision(one.revision - 1) for one in commits)]
    return [(one.commit, end) for one, end in zip(commits, ends, strict=False)]


async def _at(store: Store, target: Target, revision: Revision) -> tuple[KubeObject, ...]:
    kind = target.kind
    if target.name:
        found = await store.get(kind.key(target.namespace, target.name), at=revision)
        return (found,) if found is not None else ()
    return await store.list(Scope(kind.group, kind.kind, target.namespace or None), at=revision)


def _now(store: Store, target: Target) -> tuple[KubeObject, ...]:
    view = store.view()
    if target.name:
        found = view.object(target.kind.key(target.namespace, target.name))
        return (found,) if found is not None else ()
    return tuple(view.list(target.kind, target.namespace or None))
