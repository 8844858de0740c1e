"""Any sender that can compute an HMAC: `X-Signature: sha256=<hex>` (sha512 too) over the body, or Standard Webhooks.

The first form is Flux's `generic-hmac`. The body may be empty, or JSON with `ref` and `repository` (a URL),
which narrow the hint.
"""

from typing import Final

from webhooks.providers.base import (
    Delivery,
    Hint,
    Provider,
    branches_of,
    hmac_matches,
    json_object,
    standard_signed,
)


def _signed(delivery: Delivery, secret: bytes) -> bool:
    if delivery.header("webhook-signature"):
        return standard_signed(delivery, secret)
    algorithm, _, digest = delivery.header("X-Signature").partition("=")
    return algorithm in ("sha256", "sha512") and hmac_matches(algorithm, secret, delivery.body, digest)


def _delivery_id(delivery: Delivery) -> str:
    """Without an id of its own each delivery counts as new when it is empty: a body `{}` is sent again and again."""
    return delivery.header("webhook-id") or delivery.header("X-Request-Id")


def _read(delivery: Delivery) -> Hint:
    payload = json_object(delivery.body) if delivery.body.strip() else {}
    repository, ref = payload.get("repository"), payload.get("ref")
    return Hint(
        (repository,) if isinstance(repository, str) and repository else (), branches_of([ref] if ref else [])
    )


PROVIDER: Final = Provider(_signed, _delivery_id, _read)
