"""Which leaves of a SOPS file are encrypted. Source: getsops/sops sops.go (`shouldBeEncrypted`).

At most one rule holds; without one it is the suffix `_unencrypted`. A rule matches where any key on the way matches.
The comment rules look at comments, which we do not read: there a leaf is taken for encrypted where its text says so.
That is no guess as long as the MAC covers every value: then exactly what the writer meant gives the same MAC.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from gitops.sync.secrets.places import Path

DEFAULT_SUFFIX: Final = "_unencrypted"
KEY_RULES: Final = ("unencrypted_suffix", "encrypted_suffix", "unencrypted_regex", "encrypted_regex")
COMMENT_RULES: Final = ("unencrypted_comment_regex", "encrypted_comment_regex")
RULES: Final = (*KEY_RULES, *COMMENT_RULES)
ENCRYPTED: Final = re.compile(
    r"ENC\[AES256_GCM,data:([A-Za-z0-9+/=]*),iv:([A-Za-z0-9+/=]+),tag:([A-Za-z0-9+/=]+),type:(\w+)\]\Z"
)

Rule = Callable[[Path, str], bool]  # Path and text of a leaf: whether it is encrypted.


def is_encrypted_text(text: str) -> bool:
    """Whether it has the form of an encrypted value."""
    return ENCRYPTED.match(text) is not None


def is_comment_text(text: str) -> bool:
    """Whether it is an encrypted comment: SOPS writes those of lists as items."""
    match = ENCRYPTED.match(text)
    return match is not None and match.group(4) == "comment"


def has_comment_rule(metadata: dict[str, Any]) -> bool:
    """Whether what is encrypted depends on comments."""
    return any(metadata.get(name) for name in COMMENT_RULES)


def rule_of(metadata: dict[str, Any]) -> Rule:
    """The rule of a `sops` block. ValueError: there are two, or it is none."""
    given = [(name, metadata[name]) for name in RULES if metadata.get(name)]
    if len(given) > 1:
        raise ValueError(f"sops: only one of {' and '.join(name for name, _ in given)} can hold")
    name, argument = given[0] if given else ("unencrypted_suffix", DEFAULT_SUFFIX)
    if not isinstance(argument, str):
        raise ValueError(f"sops.{name} is not a text")
    if name in COMMENT_RULES:
        if metadata.get("mac_only_encrypted"):
            raise ValueError(f"sops.{name} with mac_only_encrypted: what is encrypted cannot be told")
        return lambda path, text: is_encrypted_text(text)
    wanted = not name.startswith("unencrypted")
    matches = _matcher(name, argument)
    return lambda path, text: any(isinstance(key, str) and matches(key) for key in path) is wanted


def _matcher(name: str, argument: str) -> Callable[[str], bool]:
    if name.endswith("_suffix"):
        return lambda key: key.endswith(argument)
    try:
        pattern = re.compile(argument)
    except re.error as error:
        raise ValueError(f"sops.{name}: {argument!r} is no regular expression: {error}") from error
    return lambda key: pattern.search(key) is not None
