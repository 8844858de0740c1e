"""What a provider module gives: three pure functions over a delivery."""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class Delivery:
    """Headers and the raw body: signatures are over exactly these bytes."""

    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str:
        """Header names are case-insensitive; absent is ''."""
        wanted = name.lower()
        return next((value for key, value in self.headers.items() if key.lower() == wanted), "")


class Hint(NamedTuple):
    """What a delivery says. No URLs: it may concern any source. Branch '': any branch."""

    urls: tuple[str, ...]
    branch: str
    ping: bool = False


class Provider(NamedTuple):
    """`read` may raise ValueError, TypeError, KeyError or AttributeError on a body that is not this provider's."""

    signed: Callable[[Delivery, bytes], bool]
    delivery_id: Callable[[Delivery], str]
    read: Callable[[Delivery], Hint]


def hmac_matches(algorithm: str, secret: bytes, body: bytes, hex_digest: str) -> bool:
    """Constant-time comparison; anything that is not hex of the right length simply differs."""
    expected = hmac.new(secret, body, algorithm).hexdigest()
    return hmac.compare_digest(expected.encode(), hex_digest.strip().lower().encode("utf-8", "replace"))


def body_id(delivery: Delivery) -> str:
    """Where a provider sends no id, the same body is the same delivery."""
    return hashlib.sha256(delivery.body).hexdigest()


def branch_of(ref: Any) -> str:
    """`refs/heads/main` -> `main`; tags and anything else: ''."""
    text = str(ref or "")
    return text.removeprefix("refs/heads/") if text.startswith("refs/heads/") else ""
