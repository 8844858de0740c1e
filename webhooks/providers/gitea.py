"""Gitea, Forgejo and Gogs: bare hex of an HMAC-SHA256 in a header of their own, GitHub's form of a push.

If their own header is there, it alone decides. Source: gitea services/webhook/deliver.go, forgejo, gogs.
"""

from typing import Final

from webhooks.providers.base import Delivery, Hint, Provider, body_id, hmac_matches, json_object
from webhooks.providers.github import read_push

NATIVE: Final = ("X-Forgejo-Signature", "X-Gitea-Signature", "X-Gogs-Signature")
IDS: Final = ("X-Forgejo-Delivery", "X-Gitea-Delivery", "X-Gogs-Delivery")


def _signed(delivery: Delivery, secret: bytes) -> bool:
    given = [value for name in NATIVE if (value := delivery.header(name))]
    if given:  # Forgejo sends Gitea's header too: each that is there must be right.
        return all(hmac_matches("sha256", secret, delivery.body, value) for value in given)
    algorithm, _, digest = delivery.header("X-Hub-Signature-256").partition("=")
    return algorithm == "sha256" and hmac_matches("sha256", secret, delivery.body, digest)


def _delivery_id(delivery: Delivery) -> str:
    return next((value for name in IDS if (value := delivery.header(name))), "") or body_id(delivery)


def _read(delivery: Delivery) -> Hint:
    return read_push(json_object(delivery.body))


PROVIDER: Final = Provider(_signed, _delivery_id, _read)
