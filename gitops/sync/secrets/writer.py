"""Making SOPS files of manifests: the values of data and stringData are encrypted, all else stays readable, within the
MAC. And SealedSecrets of them."""

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from gitops.kinds.errors import BadRequest, Invalid
from gitops.kinds.yaml import Document, load, position_of
from gitops.sync.secrets import sealed_secrets
from gitops.sync.secrets.formats import Format
from gitops.sync.secrets.leaves import is_sealed
from gitops.sync.secrets.reader import HOLDS
from gitops.sync.secrets.text import dump
from gitops.sync.secrets.wholes import encrypt_whole, fresh_sealing

RULE: Final = {"encrypted_regex": "^(data|stringData)$"}
ENCRYPTED_FIELDS: Final = ("data", "stringData")


def encrypt_file(
    text: str | bytes,
    recipients: Sequence[str],
    now: datetime,
    random_bytes: Callable[[int], bytes] = os.urandom,
    *,
    form: Format = Format.YAML,
) -> str:
    """A file of Secrets and ConfigMaps for those who hold a key of any recipient; YAML keeps its comments.

    Invalid and BadRequest begin with the line: another kind, a value that is no text, a file that is encrypted already.
    """
    if not recipients:
        raise BadRequest("an age recipient is wanted (age1…)")
    documents = _manifests(text)
    for document in documents:
        _check(document, text)
    content = text.encode() if isinstance(text, str) else text
    sealing = fresh_sealing((tuple(recipients),), 1, RULE, now, random_bytes)
    return encrypt_whole(content, form, sealing).decode()


def encrypt_any(
    content: bytes, form: Format, recipients: Sequence[str], now: datetime,
    random_bytes: Callable[[int], bytes] = os.urandom,
) -> bytes:  # fmt: skip
    """A dotenv or binary file, whole, as `sops encrypt` does."""
    if not recipients:
        raise BadRequest("an age recipient is wanted (age1…)")
    rule = {} if form is Format.BINARY else {"unencrypted_suffix": "_unencrypted"}
    return encrypt_whole(content, form, fresh_sealing((tuple(recipients),), 1, rule, now, random_bytes))


def seal_file(
    text: str | bytes, key: RSAPublicKey, scope: sealed_secrets.Scope,
    random_bytes: Callable[[int], bytes] = os.urandom,
) -> str:  # fmt: skip
    """A file of Secrets as SealedSecrets. Invalid and BadRequest begin with the line."""
    made: list[Any] = []
    for document in _manifests(text):
        value, line = document.value, document.line
        held = (value.get("apiVersion"), value.get("kind")) if isinstance(value, dict) else ("", "")
        if held != ("v1", "Secret"):
            raise Invalid(f"line {line}: found {held[0]} {held[1]}, wanted a Secret")
        try:
            made.append(sealed_secrets.sealed(value, key, scope, random_bytes))
        except BadRequest as error:
            raise BadRequest(f"line {line}: {error}") from error
    return dump(made)


def _manifests(text: str | bytes) -> list[Document]:
    documents = load(text)
    if not documents:
        raise BadRequest("there is nothing in the file")
    if is_sealed([document.value for document in documents]):
        raise BadRequest("the file is encrypted already: it has a `sops` block")
    return documents


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
