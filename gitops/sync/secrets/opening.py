"""All that a file of a commit holds, opened: SOPS files, SOPS files within Secrets, SealedSecrets.

A keyring remembers what it has opened: a commit that changes one file costs that file, not every encrypted one.
"""

import hashlib
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

import orjson

from gitops.kinds.sensitive import Sensitive
from gitops.kinds.yaml import Document
from gitops.sync.render.parse import Parsed
from gitops.sync.secrets import sealed_secrets
from gitops.sync.secrets.data_key import NoMatchingKey, groups_of, open_data_key
from gitops.sync.secrets.embedded import Embedded
from gitops.sync.secrets.formats import written
from gitops.sync.secrets.leaves import Sealed
from gitops.sync.secrets.places import BadField
from gitops.sync.secrets.reader import objects_by, opened_by, placeholders, plain_values, with_values
from gitops.sync.secrets.sealed_keys import SealingKey

REMEMBERED_MAX: Final = 20_000  # Data keys of files and values of SealedSecrets.
_PLACEHOLDER: Final = Sensitive("AAAA")


class Keyring:
    """The operator's keys. For one thread at a time."""

    def __init__(self, identities: Sequence[Sensitive] = (), sealing_keys: Sequence[SealingKey] = ()) -> None:
        self._identities, self._sealing = tuple(identities), tuple(key.private for key in sealing_keys)
        self._remembered: OrderedDict[bytes, Sensitive] = OrderedDict()

    def open(self, parsed: Parsed, *, allow_mac_only_encrypted: bool = False) -> list[Document]:
        """A file's documents as objects, secret values `Sensitive`. BadField says which field is wrong."""
        documents = self._open_sops(parsed, allow_mac_only_encrypted)
        return [_unsealed(at, document, self._sealed_value) for at, document in enumerate(documents)]

    def _open_sops(self, parsed: Parsed, allow_mac_only_encrypted: bool) -> list[Document]:
        documents = list(parsed.documents)
        if parsed.sealed is not None:
            data_key = self._data_key(parsed.sealed)
            documents = objects_by(
                documents, parsed.sealed, data_key, allow_mac_only_encrypted=allow_mac_only_encrypted
            )
        return _with_embedded(documents, parsed.embedded, [self._content(one) for one in parsed.embedded])

    def open_or_placeholders(
        self, parsed: Parsed, *, allow_mac_only_encrypted: bool = False
    ) -> list[Document]:
        """As `open`; where no key fits, the form is checked and each value is some text."""
        try:
            documents = self._open_sops(parsed, allow_mac_only_encrypted)
        except NoMatchingKey:
            documents = list(parsed.documents)
            if parsed.sealed is not None:
                documents = placeholders(
                    documents, parsed.sealed, allow_mac_only_encrypted=allow_mac_only_encrypted
                )
            documents = _with_embedded(documents, parsed.embedded, [_PLACEHOLDER for _ in parsed.embedded])
        decrypt = self._sealed_value if self._sealing else None
        return [_unsealed(at, document, decrypt) for at, document in enumerate(documents)]

    def verified_key(self, sealed: Sealed, *, allow_mac_only_encrypted: bool = False) -> bytes:
        """The data key of a file that is to be rendered, once its MAC has been found right. Invalid: there is none."""
        if sealed.metadata.get("mac_only_encrypted") and not allow_mac_only_encrypted:
            what = (
                "sops.mac_only_encrypted is refused in what is rendered: clear parts could be changed unseen"
            )
            raise BadField(0, "sops.mac_only_encrypted", what)
        data_key = self._data_key(sealed)
        opened_by(sealed, data_key)
        return data_key

    def _data_key(self, sealed: Sealed) -> bytes:
        groups_of(sealed.metadata)  # What is no such block is told as that.
        named = {name: sealed.metadata.get(name) for name in ("age", "key_groups", "shamir_threshold")}
        place = hashlib.sha256(orjson.dumps(named, option=orjson.OPT_SORT_KEYS)).digest()
        return self._remember(place, lambda: open_data_key(sealed.metadata, self._identities))

    def _content(self, one: Embedded) -> Sensitive:
        """An inner file in the clear, as a Secret holds it."""
        field = f"data.{one.key}"
        try:
            opened = opened_by(one.sealed, self._data_key(one.sealed))
            content = written(with_values(one.values, plain_values(opened)), one.form)
        except NoMatchingKey as error:
            raise NoMatchingKey(f"{field}: {error}", one.document, field) from error
        except (BadField, ValueError, TypeError) as error:
            raise BadField(one.document, field, f"{field}: within: {error}") from error
        return Sensitive(b64encode(content))

    def _sealed_value(self, text: str, label: bytes) -> bytes:
        place = hashlib.sha256(label + b"\0" + text.encode()).digest()
        return self._remember(place, lambda: sealed_secrets.decrypt_value(text, label, self._sealing))

    def _remember(self, place: bytes, make: Callable[[], bytes]) -> bytes:
        known = self._remembered.get(place)
        if known is None:
            known = self._remembered[place] = Sensitive(make())
            if len(self._remembered) > REMEMBERED_MAX:
                self._remembered.popitem(last=False)
        else:
            self._remembered.move_to_end(place)
        return known.reveal()


def _unsealed(position: int, document: Document, decrypt: Callable[[str, bytes], bytes] | None) -> Document:
    if not sealed_secrets.is_sealed_secret(document.value):
        return document
    value = sealed_secrets.unsealed(document.value, position, decrypt)
    return Document(value, document.line, document.index, document.path)


def _with_embedded(
    documents: list[Document], embedded: Sequence[Embedded], contents: Sequence[Sensitive]
) -> list[Document]:
    """Documents with the contents of inner files in their places."""
    for one, content in zip(embedded, contents, strict=True):
        document = documents[one.document]
        data = {**document.value["data"], one.key: content}
        value = {**document.value, "data": data}
        documents[one.document] = Document(value, document.line, document.index, document.path)
    return documents
