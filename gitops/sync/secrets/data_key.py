"""The data key of a SOPS file: from its `sops` block with identities, and back. One list of recipients, or key groups.

Source: getsops/sops sops.go (`GetDataKeyWithKeyServices`, `UpdateMasterKeysWithKeyServices`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from gitops.kinds.errors import BadRequest
from gitops.kinds.sensitive import Sensitive
from gitops.sync.secrets import shamir
from gitops.sync.secrets.keys import seal_for, try_open
from gitops.sync.secrets.places import BadField

DATA_KEY_BYTES: Final = 32
OTHER_KEYS: Final = ("kms", "gcp_kms", "hckms", "azure_kv", "hc_vault", "pgp")

Groups = tuple[tuple[str, ...], ...]  # The age recipients of each key group; usually there is one group.


class NoMatchingKey(BadField):
    """None of our identities opens the file."""

    def __init__(self, message: str, document: int = 0, field: str = "") -> None:
        super().__init__(document, field, message)


def groups_of(metadata: Mapping[str, Any]) -> Groups:
    """The age recipients that a `sops` block names, by key group. BadField: it has none."""
    groups = tuple(tuple(name for name, _ in _entries(group)) for group in _groups(metadata))
    if not any(groups):
        others = sorted({name for group in _groups(metadata) for name in OTHER_KEYS if group.get(name)})
        found = ", ".join(others) or "no other kind of key"
        raise BadField(0, "sops", f"sops: no age recipient; {found} is there, only age is supported")
    return groups


def open_data_key(metadata: Mapping[str, Any], identities: Sequence[Sensitive]) -> bytes:
    """The file's data key. NoMatchingKey names the file's recipients."""
    groups = groups_of(metadata)
    if len(groups) == 1:
        data_key = _first_opened(_groups(metadata)[0], identities, DATA_KEY_BYTES)
        if data_key is None:
            raise NoMatchingKey(_no_match(groups, len(identities)))
        return data_key
    parts = [_first_opened(group, identities, DATA_KEY_BYTES + 1) for group in _groups(metadata)]
    opened = [part for part in parts if part is not None]
    threshold = threshold_of(metadata)
    if len(opened) < threshold:
        short = f"{threshold} of its {len(groups)} key groups are wanted, {len(opened)} can be opened; "
        raise NoMatchingKey(short + _no_match(groups, len(identities)))
    try:
        return shamir.combine(opened)
    except ValueError as error:
        raise BadField(0, "sops.key_groups", f"sops.key_groups: {error}") from error


def threshold_of(metadata: Mapping[str, Any]) -> int:
    """How many key groups it takes: all of them, where the file does not say."""
    groups, stated = len(_groups(metadata)), metadata.get("shamir_threshold")
    if stated in (None, 0):
        return groups
    if not isinstance(stated, int) or not 2 <= stated <= groups:
        what = f"found {stated!r}, wanted a number from 2 to {groups}"
        raise BadField(0, "sops.shamir_threshold", f"sops.shamir_threshold: {what}")
    return stated


def other_keys(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """The kinds of keys beside age that also open the file; we cannot encrypt for them."""
    return tuple(name for name in OTHER_KEYS if any(group.get(name) for group in _groups(metadata)))


def sealed_data_key(
    data_key: bytes, groups: Groups, threshold: int, random_bytes: Callable[[int], bytes]
) -> dict[str, Any]:
    """The part of a `sops` block that holds the data key. BadRequest: a recipient that is none."""
    if len(groups) == 1:
        return {"age": seal_for(groups[0], data_key)}
    if not all(groups):
        raise BadRequest("each key group needs a recipient")
    parts = shamir.split(data_key, len(groups), threshold, random_bytes)
    listed = [{"age": seal_for(group, part)} for group, part in zip(groups, parts, strict=True)]
    return {"shamir_threshold": threshold, "key_groups": listed}


def _groups(metadata: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The key groups; the flat lists are one."""
    stated = metadata.get("key_groups")
    if not stated:
        return (metadata,)
    if not isinstance(stated, list) or not all(isinstance(group, dict) for group in stated):
        raise BadField(0, "sops.key_groups", "sops.key_groups is no list of mappings")
    if len(stated) > shamir.PARTS_MAX:
        raise BadField(0, "sops.key_groups", f"sops.key_groups: at most {shamir.PARTS_MAX} can hold")
    return stated


def _entries(group: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(recipient, what is encrypted for it)."""
    entries = group.get("age") or ()
    return [
        (str(entry["recipient"]), str(entry.get("enc", "")))
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict) and "recipient" in entry
    ]


def _first_opened(group: Mapping[str, Any], identities: Sequence[Sensitive], length: int) -> bytes | None:
    opened = (try_open(armored, identities) for _, armored in _entries(group))
    return next((content for content in opened if content is not None and len(content) == length), None)


def _no_match(groups: Groups, keys: int) -> str:
    have = (
        "there is no age key here" if keys == 0 else
        "1 key here, which does not match" if keys == 1 else
        f"{keys} keys here, none of which matches"
    )  # fmt: skip
    names = ", ".join(name for group in groups for name in group)
    way = (
        ""
        if keys
        else "; name the file of one by --age-key-file, or put it into age.key of the data directory"
    )
    return f"cannot decrypt: {have}; the file's recipients are {names}{way}"
