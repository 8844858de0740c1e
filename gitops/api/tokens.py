"""Join tokens as the store has them: Secrets of kube-system that hold a hash, never the token.

Whoever may write Secrets there may let nodes in. Source: Kubernetes, "Bootstrap tokens";
those are kept in clear.
"""

import hashlib
import hmac
from base64 import b64decode, b64encode
from datetime import datetime, timedelta
from typing import Any, Final, cast

from gitops.client.joining import JoinToken
from gitops.kinds.core.config import SECRET, Secret
from gitops.kinds.keys import Key
from gitops.kinds.objects import annotations_of, moment_of, with_meta
from gitops.kinds.sensitive import Sensitive

NAMESPACE: Final = "kube-system"
NAME_PREFIX: Final = "join-token-"
TYPE: Final = "gitward.io/join-token"
LABEL: Final = "gitward.io/join-token"
TTL_SECONDS: Final = "gitward.io/ttl-seconds"  # Annotations.
USES: Final = "gitward.io/uses"
USED_BY: Final = "gitward.io/used-by"  # Machines, separated by commas.
NODE_NAME: Final = "gitward.io/node-name"
HASH: Final = "hash"


def token_key(token_id: str) -> Key:
    return SECRET.key(NAMESPACE, NAME_PREFIX + token_id)


def token_object(token: JoinToken, *, ttl_seconds: int, uses: int, name: str) -> Secret:
    """`name`: the only node that may join by it; '': any."""
    annotations = {TTL_SECONDS: str(ttl_seconds), USES: str(uses)}
    if name:
        annotations[NODE_NAME] = name
    body: Any = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": NAME_PREFIX + token.id,
            "namespace": NAMESPACE,
            "labels": {LABEL: "true"},
            "annotations": annotations,
        },
        "type": TYPE,
        "data": {HASH: Sensitive(b64encode(_hash(token)))},
    }
    return cast(Secret, body)


def is_token(secret: Secret, token: JoinToken) -> bool:
    """Whether this is the token that was made; takes as long for every wrong one."""
    kept = (secret.get("data") or {}).get(HASH)
    if secret.get("type") != TYPE or kept is None:
        return False
    return hmac.compare_digest(b64decode(kept.reveal()), _hash(token))


def expires_at(secret: Secret) -> datetime:
    """By the master's own clock alone, which also set the time of creation."""
    made = moment_of(secret["metadata"].get("creationTimestamp", ""))
    return made + timedelta(seconds=_number(secret, TTL_SECONDS))


def used_by(secret: Secret) -> tuple[str, ...]:
    text = annotations_of(secret).get(USED_BY, "")
    return tuple(text.split(",")) if text else ()


def uses_left(secret: Secret) -> int:
    return max(_number(secret, USES) - len(used_by(secret)), 0)


def node_name_of(secret: Secret) -> str:
    return annotations_of(secret).get(NODE_NAME, "")


def with_use(secret: Secret, machine: str) -> Secret:
    told = ",".join((*used_by(secret), machine))
    return with_meta(secret, annotations={**annotations_of(secret), USED_BY: told})


def _number(secret: Secret, name: str) -> int:
    """0 where someone wrote nonsense: such a token lets nobody in."""
    text = annotations_of(secret).get(name, "")
    return int(text) if text.isdecimal() else 0


def _hash(token: JoinToken) -> bytes:
    """The secret has 160 random bits: there is nothing to guess, so nothing need be slow."""
    return hashlib.sha256(token.secret.reveal()).hexdigest().encode()
