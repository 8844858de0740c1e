"""Bitbucket Cloud and Data Center: `X-Hub-Signature: sha256=<hex>`; `X-Hook-UUID` is no secret.

Source: Atlassian documentation, "Manage webhooks" and "Event payload" of both.
"""

from collections.abc import Iterator
from typing import Any, Final

from webhooks.providers.base import (
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


def _signed(delivery: Delivery, secret: bytes) -> bool:
    algorithm, _, digest = delivery.header("X-Hub-Signature").partition("=")
    return algorithm == "sha256" and hmac_matches("sha256", secret, delivery.body, digest)


def _delivery_id(delivery: Delivery) -> str:
    return delivery.header("X-Request-UUID") or delivery.header("X-Request-Id") or body_id(delivery)


def _read(delivery: Delivery) -> Hint:
    if delivery.header("X-Event-Key") == "diagnostics:ping":
        return PING
    payload = json_object(delivery.body)
    repository = payload["repository"]
    links = repository["links"]
    clone = links.get("clone")
    urls = [one.get("href") for one in clone] if isinstance(clone, list) else [links["html"]["href"]]
    changes = payload["push"]["changes"] if "push" in payload else payload["changes"]
    return Hint(urls_of(urls), branches_of(_refs(changes)))


def _refs(changes: list[dict[str, Any]]) -> Iterator[str]:
    """Cloud names branches old and new, Data Center a ref."""
    for change in changes:
        ref = change.get("ref")
        if isinstance(ref, dict):
            yield str(ref.get("id"))
            continue
        for side in (change.get("new"), change.get("old")):
            if isinstance(side, dict):
                yield f"refs/heads/{side['name']}" if side.get("type") == "branch" else ""


PROVIDER: Final = Provider(_signed, _delivery_id, _read)
