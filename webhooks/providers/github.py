"""GitHub and its container registry: `X-Hub-Signature-256` over the raw body (form-encoded ones too), push and package.

Source: GitHub documentation, "Validating webhook deliveries" and "Webhook events". A redelivery keeps its id.
"""

from typing import Any, Final
from urllib.parse import parse_qs

from webhooks.providers.base import (
    EVERY,
    PING,
    Delivery,
    Hint,
    Provider,
    body_id,
    branches_of,
    hmac_matches,
    json_object,
    urls_of,
)

PACKAGES: Final = ("package", "registry_package")  # A new image: any source may use it.


def _signed(delivery: Delivery, secret: bytes) -> bool:
    # X-Hub-Signature (SHA-1) is sent too, and is ignored.
    algorithm, _, digest = delivery.header("X-Hub-Signature-256").partition("=")
    return algorithm == "sha256" and hmac_matches("sha256", secret, delivery.body, digest)


def _delivery_id(delivery: Delivery) -> str:
    return delivery.header("X-GitHub-Delivery") or body_id(delivery)


def _read(delivery: Delivery) -> Hint:
    event = delivery.header("X-GitHub-Event")
    if event == "ping":
        return PING
    if event in PACKAGES:
        return EVERY
    payload = _payload(delivery)
    return read_push(payload)


def read_push(payload: dict[str, Any]) -> Hint:
    """The form of a push that Gitea and its kin share."""
    repository = payload["repository"]
    ref = payload.get("ref")
    return Hint(
        urls_of(repository.get(name) for name in ("clone_url", "ssh_url", "html_url")),
        branches_of([ref] if ref else []),
    )


def _payload(delivery: Delivery) -> dict[str, Any]:
    if delivery.header("Content-Type").startswith("application/x-www-form-urlencoded"):
        return json_object(parse_qs(delivery.body.decode())["payload"][0].encode())
    return json_object(delivery.body)


PROVIDER: Final = Provider(_signed, _delivery_id, _read)
