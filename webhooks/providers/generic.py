"""Any sender that can compute an HMAC: `X-Signature: sha256=<hex>` (sha512 too) over the raw body.

The form is Flux's `generic-hmac`. The body may be empty, or JSON with `ref` and `repository` (a URL),
which narrow the hint.
"""

import json
from typing import Final

from webhooks.providers.base import Delivery, Hint, Provider, branch_of, hmac_matches


def _signed(delivery: Delivery, secret: bytes) -> bool:
    algorithm, _, digest = delivery.header("X-Signature").partition("=")
    return algorithm in ("sha256", "sha512") and hmac_matches(algorithm, secret, delivery.body, digest)


def _delivery_id(delivery: Delivery) -> str:
    """Without an id of its own each delivery counts as new when it is empty: a body `{}` is sent again and again."""
    return delivery.header("webhook-id") or delivery.header("X-Request-Id")


def _read(delivery: Delivery) -> Hint:
    payload = json.loads(delivery.body) if delivery.body.strip() else {}
    if not isinstance(payload, dict):
        raise TypeError(f"a JSON object was expected, not {type(payload).__name__}")
    repository = payload.get("repository")
    return Hint(
        (repository,) if isinstance(repository, str) and repository else (), branch_of(payload.get("ref"))
    )


PROVIDER: Final = Provider(_signed, _delivery_id, _read)
