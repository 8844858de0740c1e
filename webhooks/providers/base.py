"""What a provider module gives: three pure functions over a delivery, and what they are made of."""

import binascii
import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

REPLAY_SECONDS: Final = 300.0  # Standard Webhooks: a signed time may be this far off.
STANDARD_PREFIX: Final = "whsec_"
URLS_MAX: Final = 20  # Of one delivery.


@dataclass(frozen=True, slots=True)
class Delivery:
    """Headers and the raw body: signatures are over exactly these bytes. `now`: seconds since 1970; `token`: what the
    path says after the provider's name."""

    headers: Mapping[str, str]
    body: bytes
    now: float = 0.0
    token: str = ""

    def header(self, name: str) -> str:
        """Header names are case-insensitive; absent is ''."""
        wanted = name.lower()
        return next((value for key, value in self.headers.items() if key.lower() == wanted), "")


class Hint(NamedTuple):
    """What a delivery says. No URLs: it may concern any source. No branches: any branch."""

    urls: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    ping: bool = False


PING: Final = Hint(ping=True)
EVERY: Final = Hint()


class Provider(NamedTuple):
    """`read` may raise ValueError, TypeError, KeyError, AttributeError, IndexError or RecursionError on a body that is
    not this provider's."""

    signed: Callable[[Delivery, bytes], bool]
    delivery_id: Callable[[Delivery], str]
    read: Callable[[Delivery], Hint]


def hmac_matches(algorithm: str, secret: bytes, body: bytes, hex_digest: str) -> bool:
    """Constant-time comparison; anything that is not hex of the right length simply differs."""
    expected = hmac.new(secret, body, algorithm).hexdigest()
    return same(hex_digest.strip().lower(), expected)


def same(given: str, expected: str | bytes) -> bool:
    """In constant time, whatever the texts hold. Nothing is never the same."""
    wanted = expected.encode() if isinstance(expected, str) else expected
    return bool(wanted) and hmac.compare_digest(given.encode("utf-8", "replace"), wanted)


def standard_signed(delivery: Delivery, secret: bytes) -> bool:
    """Standard Webhooks: `webhook-signature: v1,<base64>` (several, space-separated) over id, time and body."""
    moment, delivery_id = delivery.header("webhook-timestamp"), delivery.header("webhook-id")
    if not delivery_id or not moment.isascii() or not moment.isdigit() or len(moment) > 12:
        return False
    if abs(delivery.now - int(moment)) > REPLAY_SECONDS:
        return False
    signed = f"{delivery_id}.{moment}.".encode("utf-8", "replace") + delivery.body
    expected = b64encode(hmac.new(_standard_key(secret), signed, "sha256").digest()).decode()
    given = delivery.header("webhook-signature").split(" ")
    return any(same(one, f"v1,{expected}") for one in given)


def _standard_key(secret: bytes) -> bytes:
    """What follows `whsec_` is base64; a secret of another form is the key as it is."""
    if not secret.startswith(STANDARD_PREFIX.encode()):
        return secret
    try:
        return b64decode(secret.removeprefix(STANDARD_PREFIX.encode()), validate=True)
    except (binascii.Error, ValueError):
        return secret


def path_token(provider: str, secret: bytes) -> str:
    """For senders that cannot sign: the secret part of their URL, from which the secret cannot be told."""
    return hmac.new(secret, provider.encode(), "sha256").hexdigest()


def body_id(delivery: Delivery) -> str:
    """Where a provider sends no id, the same body is the same delivery."""
    return hashlib.sha256(delivery.body).hexdigest()


def json_object(body: bytes) -> dict[str, Any]:
    """TypeError, ValueError: the body is no JSON object."""
    payload = json.loads(body)
    if not isinstance(payload, dict):
        raise TypeError(f"a JSON object was expected, not {type(payload).__name__}")
    return payload


def urls_of(values: Iterable[Any]) -> tuple[str, ...]:
    """Those that are texts. ValueError: none is, so that a hook about nothing does not concern everything."""
    urls = tuple(value for value in values if isinstance(value, str) and value)[:URLS_MAX]
    if not urls:
        raise ValueError("the repository has no URL")
    return urls


def branch_of(ref: Any) -> str:
    """`refs/heads/main` -> `main`; tags and anything else: ''."""
    text = str(ref or "")
    return text.removeprefix("refs/heads/") if text.startswith("refs/heads/") else ""


def branches_of(refs: Iterable[Any]) -> tuple[str, ...]:
    """The branches among refs. With a tag among them, none: any branch may be meant."""
    found = [branch_of(ref) for ref in refs]
    return tuple(found) if all(found) else ()
