"""GitHub: `X-Hub-Signature-256` over the raw body (form-encoded ones too), push events, redelivery keeps the id.

Source: GitHub documentation, "Validating webhook deliveries" and "Webhook events and payloads".
"""

import json
from typing import Any, Final
from urllib.parse import parse_qs

from webhooks.providers.base import Delivery, Hint, Provider, body_id, branch_of, hmac_matches


def _signed(delivery: Delivery, secret: bytes) -> bool:
    # X-Hub-Signature (SHA-1) is sent too, and is ignored.
    algorithm, _, digest = delivery.header("X-Hub-Signature-256").partition("=")
    return algorithm == "sha256" and hmac_matches("sha256", secret, delivery.body, digest)


def _delivery_id(delivery: Delivery) -> str:
    return delivery.header("X-GitHub-Delivery") or body_id(delivery)


def _read(delivery: Delivery) -> Hint:
    event = delivery.header("X-GitHub-Event")
    if event == "ping":
        return Hint((), "", ping=True)
    payload = _payload(delivery)
    repository = payload["repository"]
    urls = tuple(
        str(repository[name]) for name in ("clone_url", "ssh_url", "html_url") if repository.get(name)
    )
    if not urls:
        raise ValueError("the repository has no URL")
    return Hint(urls, branch_of(payload.get("ref")))


def _payload(delivery: Delivery) -> dict[str, Any]:
    if delivery.header("Content-Type").startswith("application/x-www-form-urlencoded"):
        payload = json.loads(parse_qs(delivery.body.decode())["payload"][0])
    else:
        payload = json.loads(delivery.body)
    if not isinstance(payload, dict):
        raise TypeError(f"a JSON object was expected, not {type(payload).__name__}")
    return payload


PROVIDER: Final = Provider(_signed, _delivery_id, _read)
