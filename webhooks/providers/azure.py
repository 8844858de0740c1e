"""Azure DevOps service hooks: HTTP Basic alone, whose password is the secret. Source: Microsoft Learn, "Webhooks"."""

import binascii
from base64 import b64decode
from typing import Final

from webhooks.providers.base import (
    Delivery,
    Hint,
    Provider,
    body_id,
    branches_of,
    json_object,
    same,
    urls_of,
)


def _signed(delivery: Delivery, secret: bytes) -> bool:
    scheme, _, encoded = delivery.header("Authorization").partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        _, _, password = b64decode(encoded.strip(), validate=True).decode(errors="replace").partition(":")
    except (binascii.Error, ValueError):
        return False
    return same(password, secret)


def _read(delivery: Delivery) -> Hint:
    payload = json_object(delivery.body)
    resource = payload["resource"]
    repository = resource["repository"]
    urls = urls_of(repository.get(name) for name in ("remoteUrl", "sshUrl", "webUrl"))
    return Hint(urls, branches_of(update["name"] for update in resource.get("refUpdates") or ()))


PROVIDER: Final = Provider(_signed, body_id, _read)  # Its ids are in the body.
