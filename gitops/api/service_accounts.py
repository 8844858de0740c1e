"""Whom a service account's token stands for: its claims, made and believed. Pure.

A token is believed only while what it is bound to is there: the account itself, and the pod, node or Secret that it was
made for. Source: Kubernetes, "Managing Service Accounts"; pkg/serviceaccount/claims.go, 1.35.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, cast

from gitops.api.context import User
from gitops.api.jwt import ISSUER, TokenKeys
from gitops.kinds.core.config import SECRET
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD
from gitops.kinds.core.service_account import GROUP, SERVICE_ACCOUNT, USER_PREFIX
from gitops.kinds.errors import Unauthorized
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject, moment_of, uid
from gitops.reconcile import Reader

AUTHENTICATED: Final = "system:authenticated"
CLAIM: Final = "kubernetes.io"
BOUND: Final[Mapping[str, Kind[Any]]] = {"pod": POD, "secret": SECRET, "node": NODE}
GONE_SECONDS: Final = 60  # As Kubernetes: a pod's token outlives its grace by this much.
_EXTRA: Final = "authentication.kubernetes.io"


class Account(NamedTuple):
    """An account whose token was believed."""

    user: User
    uid: str
    audiences: tuple[str, ...]
    expires: datetime
    extra: Mapping[str, Sequence[str]]


def claims_of(
    account: KubeObject,
    bound: Mapping[str, KubeObject],
    *,
    audiences: Sequence[str],
    seconds: int,
    now: datetime,
    token_id: str,
) -> dict[str, object]:
    """What a new token says. `bound`: pod, secret or node; a pod's node may stand beside it."""
    meta = account["metadata"]
    about: dict[str, object] = {
        "namespace": meta.get("namespace", ""),
        "serviceaccount": _named(account),
        **{word: _named(obj) for word, obj in bound.items()},
    }
    begins = int(now.timestamp())
    return {
        "aud": list(audiences),
        "exp": begins + seconds,
        "iat": begins,
        "iss": ISSUER,
        "jti": token_id,
        CLAIM: about,
        "nbf": begins,
        "sub": f"{USER_PREFIX}{meta.get('namespace', '')}:{meta.get('name', '')}",
    }


def believed(
    keys: TokenKeys, view: Reader, token: str, now: datetime, audiences: Sequence[str] = (ISSUER,)
) -> Account:
    """Whose token it is. Raises Unauthorized, with the reason where the token is ours.

    Args:
        audiences: for whom it may be meant; one of them is enough.
    """
    claims = keys.claims(token)
    meant = claims.get("aud")
    common = tuple(one for one in audiences if isinstance(meant, list) and one in meant)
    if claims.get("iss") != ISSUER or not common:
        raise Unauthorized("the token is for another audience")
    begins, ends = _moment(claims.get("nbf")), _moment(claims.get("exp"))
    if not begins <= now < ends:
        raise Unauthorized("the token has expired")
    about = claims.get(CLAIM)
    if not isinstance(about, Mapping):
        raise Unauthorized("the token is no service account's")
    namespace = str(about.get("namespace"))
    account = _still_there(view, SERVICE_ACCOUNT, namespace, about.get("serviceaccount"), now)
    for word, kind in BOUND.items():
        # A pod's node is told along, and was its node when the token was made: it goes when the pod goes.
        if word in about and not (word == "node" and "pod" in about):
            _still_there(view, kind, namespace, about[word], now)
    name = account["metadata"].get("name", "")
    return Account(
        User(f"{USER_PREFIX}{namespace}:{name}", frozenset({GROUP, f"{GROUP}:{namespace}", AUTHENTICATED})),
        uid(account),
        common,
        ends,
        _extra(about, str(claims.get("jti", ""))),
    )


def is_account(user: User) -> bool:
    return user.name.startswith(USER_PREFIX) and GROUP in user.groups


def _still_there(view: Reader, kind: Kind[Any], namespace: str, named: object, now: datetime) -> KubeObject:
    """The very object that a claim names. Raises Unauthorized."""
    claim = named if isinstance(named, Mapping) else {}
    found = view.get(kind, kind.key(namespace, str(claim.get("name"))))
    if found is None or uid(found) != claim.get("uid"):
        raise Unauthorized(f"the {kind.singular} that the token is bound to is gone")
    going = found["metadata"].get("deletionTimestamp")
    if going is not None and moment_of(going) + timedelta(seconds=GONE_SECONDS) < now:
        raise Unauthorized(f"the {kind.singular} that the token is bound to is being deleted")
    return cast(KubeObject, found)


def _named(obj: KubeObject) -> dict[str, str]:
    return {"name": obj["metadata"].get("name", ""), "uid": uid(obj)}


def _moment(seconds: object) -> datetime:
    """Of a claim; without one at no time."""
    if not isinstance(seconds, int):
        raise Unauthorized("the token has expired")
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def _extra(about: Mapping[str, Any], token_id: str) -> Mapping[str, Sequence[str]]:
    found = {f"{_EXTRA}/credential-id": [f"JTI={token_id}"]}
    for word in ("node", "pod"):
        if word in about:
            found[f"{_EXTRA}/{word}-name"] = [about[word]["name"]]
            found[f"{_EXTRA}/{word}-uid"] = [about[word]["uid"]]
    return found
