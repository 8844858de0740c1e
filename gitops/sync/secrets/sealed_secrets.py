"""SealedSecrets: from a `SealedSecret` to the `Secret` that it stands for, and back.

Source: bitnami-labs/sealed-secrets 0.36, pkg/crypto/crypto.go and pkg/apis/…/v1alpha1/sealedsecret_expansion.go.

What a value is bound to, its scope, is in the cipher text: a copy to another name or namespace does not decrypt.
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256

from gitops.kinds.errors import BadRequest
from gitops.kinds.sensitive import Sensitive
from gitops.kinds.yaml import Json
from gitops.sync.secrets.places import BadField

API_VERSION: Final = "bitnami.com/v1alpha1"
KIND: Final = "SealedSecret"
PREFIX: Final = "sealedsecrets.bitnami.com/"
SESSION_KEY_BYTES: Final = 32
NONCE: Final = bytes(12)  # Each session key encrypts once.
DEFAULT_NAMESPACE: Final = "default"
_PLACEHOLDER: Final = "AAAA"


class Scope(StrEnum):
    """How far a value may travel."""

    STRICT = "strict"
    NAMESPACE = "namespace-wide"
    CLUSTER = "cluster-wide"


def is_sealed_secret(value: Json) -> bool:
    return isinstance(value, dict) and value.get("apiVersion") == API_VERSION and value.get("kind") == KIND


def unsealed(value: Json, position: int, decrypt: Callable[[str, bytes], bytes] | None) -> dict[str, Any]:
    """The Secret. `decrypt(text, label)` raises ValueError; None: there are no keys, values become placeholders.

    BadField: one value that does not decrypt fails the whole object, as does what is not supported.
    """
    spec, meta = _mapping(value, "spec", position), _mapping(value, "metadata", position)
    template = _optional(spec, "template", "spec.template", position)
    if template.get("data"):
        raise BadField(
            position, "spec.template.data", "spec.template.data: templates of values are not supported"
        )
    if spec.get("data"):
        raise BadField(
            position, "spec.data", "spec.data: the old form of one blob is not supported: seal it again"
        )
    name, namespace = meta.get("name"), meta.get("namespace", DEFAULT_NAMESPACE)
    label = (
        label_of(scope_of(meta), namespace, name)
        if isinstance(name, str) and isinstance(namespace, str)
        else b""
    )
    data: dict[str, Sensitive] = {}
    for key, text in _optional(spec, "encryptedData", "spec.encryptedData", position).items():
        field = f"spec.encryptedData.{key}"
        if not isinstance(text, str):
            raise BadField(position, field, f"{field}: found no text, wanted what kubeseal printed")
        try:
            data[key] = Sensitive(b64encode(decrypt(text, label)) if decrypt else _PLACEHOLDER)
        except ValueError as error:
            raise BadField(position, field, f"{field} {error}") from error
    stated = _optional(template, "metadata", "spec.template.metadata", position)
    kept = {part: stated[part] for part in ("labels", "annotations") if stated.get(part)}
    placed = {part: meta[part] for part in ("name", "namespace") if part in meta}
    typed = {part: template[part] for part in ("type", "immutable") if template.get(part)}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {**placed, **kept}, **typed, "data": data}


def scope_of(meta: Mapping[str, Any]) -> Scope:
    """By the SealedSecret's own annotations."""
    annotations = meta.get("annotations")
    for scope in (Scope.CLUSTER, Scope.NAMESPACE):
        if isinstance(annotations, dict) and annotations.get(PREFIX + scope) == "true":
            return scope
    return Scope.STRICT


def label_of(scope: Scope, namespace: str, name: str) -> bytes:
    """What OAEP binds a value to."""
    of_scope = {Scope.STRICT: f"{namespace}/{name}", Scope.NAMESPACE: namespace, Scope.CLUSTER: ""}
    return of_scope[scope].encode()


def decrypt_value(text: str, label: bytes, keys: Sequence[RSAPrivateKey]) -> bytes:
    """By the first key that opens it. ValueError: none does, or it is no such text."""
    try:
        content = b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("is not base64") from error
    length = int.from_bytes(content[:2], "big")
    wrapped, sealed = content[2 : 2 + length], content[2 + length :]
    for key in keys:
        if key.key_size // 8 != length:
            continue
        try:
            return AESGCM(key.decrypt(wrapped, _padding(label))).decrypt(NONCE, sealed, None)
        except (ValueError, InvalidTag):
            continue
    if not keys:
        raise ValueError("cannot be opened: there is no key in sealed-secrets/ of the data directory")
    raise ValueError(
        f"is not opened by any of {len(keys)} keys: sealed for another cluster, name or namespace, or changed"
    )


def encrypt_value(plain: bytes, label: bytes, key: RSAPublicKey, random_bytes: Callable[[int], bytes]) -> str:
    """As kubeseal writes it, base64."""
    session_key = random_bytes(SESSION_KEY_BYTES)
    wrapped = key.encrypt(session_key, _padding(label))
    sealed = AESGCM(session_key).encrypt(NONCE, plain, None)
    return b64encode(len(wrapped).to_bytes(2, "big") + wrapped + sealed).decode()


def sealed(
    secret: Mapping[str, Any], key: RSAPublicKey, scope: Scope, random_bytes: Callable[[int], bytes]
) -> dict[str, Any]:
    """A SealedSecret of a Secret manifest. BadRequest: values that are none, or a scope that needs a namespace."""
    meta = secret.get("metadata") or {}
    name, namespace = meta.get("name"), meta.get("namespace", DEFAULT_NAMESPACE)
    if not isinstance(name, str) or not isinstance(namespace, str):
        raise BadRequest("metadata.name: a name is wanted, to which the values are bound")
    label = label_of(scope, namespace, name)
    encrypted = {
        key_: encrypt_value(plain, label, key, random_bytes) for key_, plain in _plain_data(secret).items()
    }
    if not encrypted:
        raise BadRequest("there is neither data nor stringData: nothing would be encrypted")
    annotations = {} if scope is Scope.STRICT else {"annotations": {PREFIX + scope: "true"}}
    placed = {part: meta[part] for part in ("name", "namespace") if part in meta}
    kept = {part: meta[part] for part in ("labels", "annotations") if meta.get(part)}
    typed = {part: secret[part] for part in ("type", "immutable") if secret.get(part)}
    template = {"metadata": {**placed, **kept}, **typed}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {**placed, **annotations},
            "spec": {"encryptedData": encrypted, "template": template}}  # fmt: skip


def _plain_data(secret: Mapping[str, Any]) -> dict[str, bytes]:
    data: dict[str, bytes] = {}
    for key, text in (secret.get("data") or {}).items():
        try:
            data[key] = b64decode(text, validate=True)
        except (TypeError, ValueError) as error:
            raise BadRequest(f"data.{key} is not base64") from error
    for key, text in (secret.get("stringData") or {}).items():
        if not isinstance(text, str):
            raise BadRequest(f"stringData.{key} is no text: quote it")
        data[key] = text.encode()
    return data


def _padding(label: bytes) -> OAEP:
    return OAEP(mgf=MGF1(SHA256()), algorithm=SHA256(), label=label)


def _mapping(value: Json, name: str, position: int) -> dict[str, Any]:
    found = value.get(name)
    if not isinstance(found, dict):
        raise BadField(position, name, f"{name}: Required value")
    return found


def _optional(value: Mapping[str, Any], name: str, field: str, position: int) -> dict[str, Any]:
    found = value.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise BadField(position, field, f"{field}: found no mapping")
    return found
