"""age: identities and recipients as texts, and the data key of a SOPS file. Identities are held as `Sensitive`."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import pyrage  # type: ignore[import-untyped] # It has no stubs.
from pyrage import x25519

from gitops.kinds.errors import BadRequest, Invalid
from gitops.kinds.sensitive import Sensitive

DATA_KEY_BYTES: Final = 32
_SECRET: Final = "AGE-SECRET-KEY-1"  # noqa: S105 # The public prefix of every key.
_POST_QUANTUM: Final = "AGE-SECRET-KEY-PQ-1"
OTHER_KEYS: Final = ("kms", "gcp_kms", "hckms", "azure_kv", "hc_vault", "pgp")


class NoMatchingKey(Invalid):
    """None of our identities opens the file."""


def keygen() -> tuple[str, str]:
    """(identity, recipient): the first is secret, the second may stand anywhere."""
    identity = x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def read_identities(text: str) -> tuple[Sensitive, ...]:
    """The keys of an age key file; `#` lines are comments. BadRequest: a line that is no age key."""
    identities = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith(_POST_QUANTUM):
            raise BadRequest(f"line {number}: post-quantum age keys (AGE-SECRET-KEY-PQ-1…) are not supported")
        try:
            x25519.Identity.from_str(line)
        except pyrage.IdentityError as error:
            raise BadRequest(f"line {number}: not an age key; wanted {_SECRET}…") from error
        identities.append(Sensitive(line))
    return tuple(identities)


def recipients_of(metadata: dict[str, Any]) -> tuple[str, ...]:
    """The age recipients that a file's `sops` block names. Invalid: it needs what is not supported."""
    if metadata.get("key_groups") or metadata.get("shamir_threshold"):
        raise Invalid("sops.key_groups are not supported")
    entries = metadata.get("age") or []
    names = tuple(
        str(entry["recipient"]) for entry in entries if isinstance(entry, dict) and "recipient" in entry
    )
    if not names:
        others = [name for name in OTHER_KEYS if metadata.get(name)]
        raise Invalid(
            f"sops: no age recipient; {', '.join(others) or 'no other kind of key'} is there, only age is supported"
        )
    return names


def open_data_key(metadata: dict[str, Any], identities: Sequence[Sensitive]) -> bytes:
    """The file's data key. NoMatchingKey names the file's recipients."""
    recipients = recipients_of(metadata)
    keys = [x25519.Identity.from_str(identity.reveal().decode()) for identity in identities]
    for entry in metadata["age"]:
        armored = str(entry.get("enc", ""))
        try:
            data_key = pyrage.decrypt(armored.encode(), keys) if keys else b""
        except pyrage.DecryptError:
            continue
        if len(data_key) == DATA_KEY_BYTES:
            return bytes(data_key)
    have = (
        ("there is no age key here", "1 key here, which does not match")[len(keys)] if len(keys) < 2 else ""
    )
    have = have or f"{len(keys)} keys here, none of which matches"
    raise NoMatchingKey(f"cannot decrypt: {have}; the file's recipients are {', '.join(recipients)}")


def seal_data_key(data_key: bytes, recipients: Iterable[str]) -> list[dict[str, str]]:
    """The `age` list of a `sops` block. BadRequest: not an age recipient."""
    entries = []
    for recipient in recipients:
        try:
            public = x25519.Recipient.from_str(recipient)
        except pyrage.RecipientError as error:
            raise BadRequest(f"{recipient!r} is no age recipient; wanted age1…") from error
        enc = pyrage.encrypt(data_key, [public], armored=True)
        entries.append({"recipient": recipient, "enc": enc.decode()})
    return entries
