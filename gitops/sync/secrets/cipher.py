"""One SOPS value: `ENC[AES256_GCM,data:…,iv:…,tag:…,type:str]`, and the MAC over all. Source: aes/cipher.go."""

import binascii
import hashlib
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gitops.sync.secrets.leaves import Leaf
from gitops.sync.secrets.places import Path
from gitops.sync.secrets.rules import ENCRYPTED

IV_BYTES: Final = 32  # Not GCM's usual 12.
TAG_BYTES: Final = 16


def path_aad(path: Path) -> bytes:
    """What binds a value to its place: the keys from the root. List indices are no part of it."""
    return (":".join(key for key in path if isinstance(key, str)) + ":").encode()


def decrypt_value(text: str, data_key: bytes, aad: bytes) -> tuple[bytes, str]:
    """(plain bytes, SOPS type). ValueError: not such a text, or changed, or moved to another place."""
    match = ENCRYPTED.match(text)
    if match is None:
        raise ValueError("should be encrypted, but is not an ENC[AES256_GCM,…] text")
    try:
        data, iv, tag = (b64decode(part, validate=True) for part in match.group(1, 2, 3))
    except binascii.Error as error:
        raise ValueError("is not valid base64 inside ENC[…]") from error
    try:
        return AESGCM(data_key).decrypt(iv, data + tag, aad), match.group(4)
    except (InvalidTag, ValueError) as error:
        raise ValueError("was changed, or moved here from another place: it does not decrypt") from error


def encrypt_value(plain: bytes, kind: str, data_key: bytes, iv: bytes, aad: bytes) -> str:
    sealed = AESGCM(data_key).encrypt(iv, plain, aad)
    parts = (sealed[:-TAG_BYTES], iv, sealed[-TAG_BYTES:])
    data, iv_text, tag = (b64encode(part).decode() for part in parts)
    return f"ENC[AES256_GCM,data:{data},iv:{iv_text},tag:{tag},type:{kind}]"


def mac_of(leaves: Iterable[tuple[Leaf, bytes]], *, only_encrypted: bool) -> str:
    """Upper-case hex SHA-512 of the plain values in file order; comments are none of them."""
    digest = hashlib.sha512(hashlib.sha256(b"sops").digest() if only_encrypted else b"")
    for leaf, plain in leaves:
        if leaf.encrypted or not only_encrypted:
            digest.update(plain)
    return digest.hexdigest().upper()
