"""Making SOPS files: the values of data and stringData are encrypted, all else stays readable, within the MAC."""

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from gitops.kinds.errors import BadRequest, Invalid
from gitops.kinds.objects import timestamp
from gitops.kinds.yaml import Document, Json, load, position_of
from gitops.sync.secrets.cipher import IV_BYTES, encrypt_value, mac_of, path_aad
from gitops.sync.secrets.keys import DATA_KEY_BYTES, seal_data_key
from gitops.sync.secrets.leaves import SOPS, Leaf, is_sealed, take_apart
from gitops.sync.secrets.reader import HOLDS
from gitops.sync.secrets.text import dump

RULE: Final = "^(data|stringData)$"
FORMAT_VERSION: Final = "3.10.2"  # The SOPS whose format this is; not authenticated.
ENCRYPTED_FIELDS: Final = ("data", "stringData")


def encrypt_file(
    text: str | bytes,
    recipients: Sequence[str],
    now: datetime,
    random_bytes: Callable[[int], bytes] = os.urandom,
) -> str:
    """A file of Secrets and ConfigMaps for those who hold a key of any recipient. Comments are not kept.

    Invalid and BadRequest begin with the line: another kind, a value that is no text, a file that is encrypted already.
    """
    if not recipients:
        raise BadRequest("an age recipient is wanted (age1…)")
    documents = load(text)
    values = [document.value for document in documents]
    if not values:
        raise BadRequest("there is nothing in the file")
    if is_sealed(values):
        raise BadRequest("the file is encrypted already: it has a `sops` block")
    for document in documents:
        _check(document, text)

    rule = {"encrypted_regex": RULE}
    readable = dump(
        [{**value, "sops": rule} for value in values]
    )  # As the next reader will see it: the MAC is over that.
    mac_values = [document.value for document in load(readable, scalars=SOPS)]
    leaves = take_apart([{"sops": rule}], mac_values).leaves
    data_key, modified = random_bytes(DATA_KEY_BYTES), timestamp(now)
    sealed = {
        (leaf.document, leaf.path): _sealed(leaf, data_key, random_bytes) for leaf in leaves if leaf.encrypted
    }
    mac = mac_of(((leaf, leaf.text.encode()) for leaf in leaves), only_encrypted=False)
    block = {
        "age": seal_data_key(data_key, recipients),
        "lastmodified": modified,
        "mac": encrypt_value(mac.encode(), "str", data_key, random_bytes(IV_BYTES), modified.encode()),
        **rule,
        "version": FORMAT_VERSION,
    }
    return dump([{**_with(value, index, sealed), "sops": block} for index, value in enumerate(values)])


def _check(document: Document, text: str | bytes) -> None:
    value = document.value
    held = (value.get("apiVersion"), value.get("kind")) if isinstance(value, dict) else ("", "")
    if held not in HOLDS:
        raise Invalid(f"line {document.line}: found {held[0]} {held[1]}, wanted a Secret or a ConfigMap")
    if not any(value.get(field) for field in ENCRYPTED_FIELDS):
        raise Invalid(
            f"line {document.line}: there is neither data nor stringData: nothing would be encrypted"
        )
    for field in ENCRYPTED_FIELDS:
        for key, leaf in (value.get(field) or {}).items():
            if not isinstance(leaf, str):
                line = position_of(text, document.index, f"{field}.{key}") or document.line
                raise Invalid(f"line {line}: {field}.{key} is no text: quote it")


def _sealed(leaf: Leaf, data_key: bytes, random_bytes: Callable[[int], bytes]) -> str:
    if leaf.text == "":
        return ""
    return encrypt_value(leaf.text.encode(), "str", data_key, random_bytes(IV_BYTES), path_aad(leaf.path))


def _with(
    value: Json, document: int, sealed: dict[tuple[int, tuple[str | int, ...]], str]
) -> dict[str, Json]:
    return {
        field: {key: sealed[document, (field, key)] for key in child}
        if field in ENCRYPTED_FIELDS and child
        else child
        for field, child in value.items()
    }
