"""Encrypted values in what was rendered. The renderer never sees a plain one: it gets the files as they lie in git.

Their MACs are checked over the files; then every encrypted value that came through the render is opened at its place in
the rendered object, by the keys of those files. A value that was moved to another key, or is of a file that was
changed, does not open. Source: Flux (kustomize-controller internal/decryptor), which does not check the MACs.
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, cast

from gitops.kinds.core.config import SEALED_FIELDS, seal_values
from gitops.kinds.errors import Invalid
from gitops.kinds.objects import KubeObject
from gitops.kinds.sensitive import Sensitive
from gitops.kinds.yaml import Document, Json
from gitops.sync.secrets.cipher import decrypt_value, path_aad
from gitops.sync.secrets.data_key import NoMatchingKey
from gitops.sync.secrets.formats import PREFIX, marked_format
from gitops.sync.secrets.leaves import BLOCK, Sealed
from gitops.sync.secrets.reader import HOLDS

MARK: Final = "ENC[AES256_GCM,"
_MARK_IN_BASE64: Final = b64encode(
    MARK.encode()
).decode()  # 15 characters, so whatever follows begins like this.
_PLACEHOLDER: Final = "AAAA"

VerifiedKey = Callable[[Sealed], bytes]  # The data key, once the MAC is found right. Invalid: there is none.


class SealedFile(NamedTuple):
    """An encrypted file that was handed to a renderer."""

    path: str
    sealed: Sealed


class Unsealing:
    """The keys of one render's encrypted files. A file that cannot be opened matters only if a value needs its key."""

    def __init__(
        self, files: Sequence[SealedFile], verified_key: VerifiedKey, *, placeholders: bool = False
    ) -> None:
        """`placeholders`: where we have no key, a value is some text (for `gitward check`)."""
        self._keys: list[bytes] = []
        self._problems: list[str] = []
        self._placeholders = False
        for file in files:
            try:
                self._keys.append(verified_key(file.sealed))
            except Invalid as error:
                self._problems.append(f"{file.path}: {error}")
                self._placeholders |= placeholders and isinstance(error, NoMatchingKey)

    def opened(self, document: Document) -> Document:
        """An object with its encrypted values opened and sealed. Invalid: one does not open, or is out of place."""
        if (file := _encrypted_file(document.value)) is not None:
            raise Invalid(
                f"{_name(document.value)}: {file} is an encrypted file: a secretGenerator may take it"
            )
        if not is_encrypted(document.value):
            return document
        value = {name: child for name, child in document.value.items() if name != BLOCK}
        if (value.get("apiVersion"), value.get("kind")) not in HOLDS:
            raise Invalid(
                f"{_name(value)}: an encrypted value came here, but only Secrets and ConfigMaps may hold one"
            )
        for field in SEALED_FIELDS:
            if isinstance(value.get(field), dict):
                value[field] = self._field(value, field)
        if any(_has_mark(child) for child in value.values()):
            raise Invalid(f"{_name(value)}: an encrypted value outside of {', '.join(SEALED_FIELDS)}")
        return Document(seal_values(cast(KubeObject, value)), document.line, document.index, document.path)

    def _field(self, value: Json, field: str) -> Json:
        """Without what dotenv files keep beside their values: a generator makes keys of it."""
        entries = value[field]
        is_of_dotenv = f"{PREFIX}mac" in entries
        return {
            name: self._plain(value, field, name, child) if isinstance(child, str) else child
            for name, child in entries.items()
            if not (is_of_dotenv and name.startswith(PREFIX))
        }

    def _plain(self, value: Json, field: str, name: str, text: str) -> Json:
        if text.startswith(MARK):
            dotenv = () if value["kind"] == "Secret" and field == "data" else ((name,),)
            return Sensitive(self._decrypted(value, text, (field, name), *dotenv))
        if field == "data" and text.startswith(_MARK_IN_BASE64):  # Of a dotenv file: its keys are at the top.
            return Sensitive(b64encode(self._decrypted(value, _decoded(text), (name,))))
        return text

    def _decrypted(self, value: Json, text: str, *places: tuple[str, ...]) -> bytes:
        for key in self._keys:
            for place in places:
                try:
                    plain, kind = decrypt_value(text, key, path_aad(place))
                except ValueError:
                    continue
                if kind == "str":
                    return plain
        if self._placeholders:
            return _PLACEHOLDER.encode()
        why = "; ".join(self._problems) or (
            "it is of no file that this folder reaches, or was changed, or moved to another key"
        )
        raise Invalid(f"{_name(value)}: {'.'.join(places[0])} does not decrypt: {why}")


def is_encrypted(value: Json) -> bool:
    """Whether an object that was rendered holds encrypted values, or the block that says so."""
    return isinstance(value, dict) and (isinstance(value.get(BLOCK), dict) or _has_mark(value))


def _encrypted_file(value: Json) -> str | None:
    """The field of a ConfigMap that is one: what is in it would not be hidden."""
    if (
        not isinstance(value, dict)
        or value.get("kind") != "ConfigMap"
        or not isinstance(value.get("data"), dict)
    ):
        return None
    texts = ((name, text) for name, text in value["data"].items() if isinstance(text, str))
    return next(
        (f"data.{name}" for name, text in texts if marked_format(text.encode(errors="replace"))), None
    )


def _has_mark(value: Json) -> bool:
    """Anywhere within, as it is or in base64. Without recursion: the tree is hostile."""
    left: list[Any] = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)
        elif isinstance(one, str) and one.startswith((MARK, _MARK_IN_BASE64)):
            return True
    return False


def _decoded(text: str) -> str:
    try:
        return b64decode(text, validate=True).decode(errors="replace")
    except binascii.Error:
        return ""


def _name(value: Json) -> str:
    meta = value.get("metadata")
    return f"{value.get('kind')} {meta.get('name') if isinstance(meta, dict) else ''}"
