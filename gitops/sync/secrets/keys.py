"""age: identities and recipients as texts, x25519 and ssh. Identities are held as `Sensitive`."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import pyrage  # type: ignore[import-untyped] # It has no stubs.
from pyrage import ssh, x25519

from gitops.kinds.errors import BadRequest
from gitops.kinds.sensitive import Sensitive

_SECRET: Final = "AGE-SECRET-KEY-1"  # noqa: S105 # The public prefix of every key.
_POST_QUANTUM: Final = "AGE-SECRET-KEY-PQ-1"
_SSH_BEGINS: Final = re.compile(r"-----BEGIN (OPENSSH|RSA) PRIVATE KEY-----")
_SSH_ENDS: Final = re.compile(r"-----END (OPENSSH|RSA) PRIVATE KEY-----")
_SSH_RECIPIENT: Final = re.compile(r"ssh-(ed25519|rsa) ")

Identity = Any  # pyrage's: x25519 or ssh.


def keygen() -> tuple[str, str]:
    """(identity, recipient): the first is secret, the second may stand anywhere."""
    identity = x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def read_identities(text: str) -> tuple[Sensitive, ...]:
    """The keys of an age key file, of private ssh keys too; `#` lines are comments. BadRequest: a line that is none."""
    identities = []
    lines = enumerate(text.splitlines(), start=1)
    for number, raw in lines:
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith(_POST_QUANTUM):
            raise BadRequest(f"line {number}: post-quantum age keys (AGE-SECRET-KEY-PQ-1…) are not supported")
        if _SSH_BEGINS.match(line):
            block = [line]
            for _, more in lines:
                block.append(more.strip())
                if _SSH_ENDS.match(block[-1]):
                    break
            line = "\n".join((*block, ""))
        try:
            open_identity(line)
        except (pyrage.IdentityError, ValueError) as error:
            wanted = f"wanted {_SECRET}…, or a private ssh key (ed25519 or rsa) without a passphrase"
            raise BadRequest(f"line {number}: not an age key; {wanted}") from error
        identities.append(Sensitive(line))
    return tuple(identities)


def open_identity(text: str) -> Identity:
    """As pyrage wants it. pyrage.IdentityError, ValueError: it is none."""
    if _SSH_BEGINS.match(text):
        return ssh.Identity.from_buffer(text.encode())
    return x25519.Identity.from_str(text)


def try_open(armored: str, identities: Sequence[Sensitive]) -> bytes | None:
    """What an age file holds. None: no identity opens it."""
    keys = [open_identity(identity.reveal().decode()) for identity in identities]
    try:
        return bytes(pyrage.decrypt(armored.encode(), keys)) if keys else None
    except pyrage.DecryptError:
        return None


def seal_for(recipients: Iterable[str], content: bytes) -> list[dict[str, str]]:
    """The `age` list of a `sops` block: each recipient with `content` for it. BadRequest: not an age recipient."""
    return [
        {"recipient": name, "enc": pyrage.encrypt(content, [_recipient(name)], armored=True).decode()}
        for name in recipients
    ]


def _recipient(name: str) -> Any:
    try:
        kind = ssh if _SSH_RECIPIENT.match(name) else x25519
        return kind.Recipient.from_str(name)
    except pyrage.RecipientError as error:
        raise BadRequest(f"{name!r} is no age recipient; wanted age1…, ssh-ed25519 … or ssh-rsa …") from error
