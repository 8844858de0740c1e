"""Container registries: a new image is a hint to every source, since any may use it. Nothing in the body is read.

Docker Hub and Quay cannot sign: their URL ends in `path_token` of the secret. Harbor and the OCI distribution registry
send what they are told to in `Authorization`. The callback URL that Docker Hub names is never called.
"""

from typing import Final

from webhooks.providers.base import EVERY, Delivery, Hint, Provider, body_id, path_token, same


def _read(delivery: Delivery) -> Hint:
    return EVERY


def by_path(name: str) -> Provider:
    """A registry that is known by its URL."""
    return Provider(lambda delivery, secret: same(delivery.token, path_token(name, secret)), body_id, _read)


def _authorized(delivery: Delivery, secret: bytes) -> bool:
    given = delivery.header("Authorization")
    return same(given, secret) or same(given, b"Bearer " + secret)


BY_HEADER: Final = Provider(_authorized, body_id, _read)
