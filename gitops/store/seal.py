"""Sealing: each secret leaf of an object is encrypted before a backend sees it, and opened as `Sensitive` again.

A body is JSON in which a sealed leaf stands as `{"$gitward.sealed": base64(nonce + ciphertext)}` (AES-256-GCM). The
object's key and the leaf's path are bound to it, so one cannot be moved to another place. Whether a body holds sealed
leaves is told beside it, never guessed from it: a user may write such a mapping, too.

A key file holds a key on each line. The last one seals, all of them open: to rotate, append a line and restart.
"""

import base64
import binascii
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gitops.kinds.errors import Invalid
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject
from gitops.kinds.sensitive import Sensitive
from gitops.store.contract import StoreUnusable

MARK: Final = "$gitward.sealed"
KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_PROOF: Final = b"gitward store key"  # Sealed in the database, to tell a wrong key at once.


class Sealer:
    """Turns objects into bodies and back. The last key seals; those before it open what they once sealed."""

    def __init__(self, *keys: bytes) -> None:
        self._ciphers = tuple(AESGCM(key) for key in reversed(keys))

    def encode(self, key: Key, obj: KubeObject) -> tuple[bytes, bool]:
        """The JSON of `obj` without its resourceVersion, and whether leaves in it are sealed. Invalid: no JSON."""
        meta = obj["metadata"].copy()
        meta.pop("resourceVersion", None)
        bare = {**obj, "metadata": meta}
        try:
            return _small(orjson.dumps(bare)), False  # Most hold no secret, and orjson refuses a `Sensitive`.
        except orjson.JSONEncodeError:
            pass
        try:
            return _small(orjson.dumps(_walk(bare, key.text, self._seal))), True
        except orjson.JSONEncodeError as error:
            raise Invalid(f"{key}: cannot be stored as JSON: {error}") from error

    def decode(self, key: Key, body: bytes, sealed: bool) -> KubeObject:
        """The inverse of `encode`. StoreUnusable: a leaf was not sealed with this key for this place."""
        obj = orjson.loads(body)
        return cast("KubeObject", _walk(obj, key.text, self._open) if sealed else obj)

    def proof(self) -> str:
        """What `proves` recognises: to be kept beside what was sealed."""
        return self._encrypted(_PROOF, "")

    def proves(self, proof: str) -> bool:
        """Whether `proof` was made with one of these keys."""
        try:
            return self._decrypted(proof, "") == _PROOF
        except (InvalidTag, binascii.Error, ValueError):
            return False

    @property
    def newest(self) -> "Sealer":
        """With the key that seals alone: what it does not prove was sealed with an older one."""
        sealer = Sealer()
        sealer._ciphers = self._ciphers[:1]
        return sealer

    def _seal(self, leaf: object, place: str) -> object:
        if isinstance(leaf, dict) and MARK in leaf:
            raise Invalid(f"{place}: a field named {MARK} cannot stand beside secrets")
        return {MARK: self._encrypted(leaf.reveal(), place)} if isinstance(leaf, Sensitive) else leaf

    def _open(self, leaf: object, place: str) -> object:
        if not isinstance(leaf, dict) or MARK not in leaf:
            return leaf
        try:
            return Sensitive(self._decrypted(leaf[MARK], place))
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise StoreUnusable(f"{place}: the sealed value was tampered with: restore a backup") from error

    def _encrypted(self, plain: bytes, place: str) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        return base64.b64encode(nonce + self._ciphers[0].encrypt(nonce, plain, place.encode())).decode()

    def _decrypted(self, text: str, place: str) -> bytes:
        raw = base64.b64decode(text, validate=True)
        nonce, sealed, bound = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], place.encode()
        for cipher in self._ciphers[:-1]:
            with suppress(InvalidTag):
                return cipher.decrypt(nonce, sealed, bound)
        return self._ciphers[-1].decrypt(nonce, sealed, bound)


def _small(body: bytes) -> bytes:
    """A copy: orjson gives its whole buffer away, 8 KB for a body of 1 KB, and a large commit holds thousands."""
    return bytes(memoryview(body))


def load_keys(path: Path, *, may_create: bool) -> tuple[bytes, ...]:
    """The keys in a file, oldest first. With one, the file is made at first start.

    Raises:
        StoreUnusable: missing though the database has sealed with it, open to others, or no key.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise StoreUnusable(f"{path}: others may read this key: chmod 600 {path}")
        keys = tuple(base64.b64decode(line, validate=True) for line in path.read_bytes().split())
    except FileNotFoundError:
        if not may_create:
            raise StoreUnusable(
                f"{path}: missing, and the secrets in the store need it: restore it"
            ) from None
        return (_make_key(path),)
    except (OSError, binascii.Error) as error:
        raise StoreUnusable(f"{path}: no readable store key: {error}") from error
    if not keys:
        raise StoreUnusable(f"{path}: no readable store key: the file is empty: restore it")
    for key in keys:
        if len(key) != KEY_BYTES:
            raise StoreUnusable(
                f"{path}: found {len(key)} bytes, wanted a store key of {KEY_BYTES}: restore it"
            )
    return keys


def _make_key(path: Path) -> bytes:
    """Written aside and renamed, so that a crash leaves no half a key."""
    key = os.urandom(KEY_BYTES)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".new")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(base64.b64encode(key) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)
    return key


def _walk(node: object, place: str, leaf: Callable[[object, str], object]) -> object:
    """A copy of a JSON tree with `leaf` asked at each node, from the root down; `place` is key text and path."""
    node = leaf(node, place)
    if isinstance(node, dict):
        return {name: _walk(child, f"{place}\0{name}", leaf) for name, child in node.items()}
    if isinstance(node, list):
        return [_walk(child, f"{place}\0{index}", leaf) for index, child in enumerate(node)]
    return node
