"""Opening SOPS files. The MAC covers every value of the file as it lies in git; nothing is given out before."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from gitops.kinds.core.config import SEALED_FIELDS, seal_values
from gitops.kinds.errors import Invalid
from gitops.kinds.keys import Origin
from gitops.kinds.sensitive import Sensitive
from gitops.kinds.yaml import Document, Json, load, position_of
from gitops.sync.secrets.cipher import decrypt_value, mac_of, path_aad
from gitops.sync.secrets.data_key import groups_of, open_data_key
from gitops.sync.secrets.leaves import Leaf, Sealed, mac_values, take_apart
from gitops.sync.secrets.places import BadField, Path, bad_leaf, shown
from gitops.sync.secrets.rules import is_encrypted_text

HOLDS: Final = (("v1", "Secret"), ("v1", "ConfigMap"))
_TYPES: Final[dict[str, Callable[[str], Json]]] = {
    "str": str,
    "int": int,
    "float": lambda text: float(text) if "." in text else int(text),
    "bool": lambda text: text.lower() == "true",
    "time": str,
    "bytes": str,
    "comment": str,
}
_PLACEHOLDER: Final = "AAAA"
_GONE: Final = object()  # An item of a list that is a comment.


class Opened(NamedTuple):
    """A leaf with its plain bytes and SOPS' type."""

    leaf: Leaf
    plain: bytes
    kind: str


def decrypt(
    text: str | bytes, identities: Sequence[Sensitive], at: Origin, *, allow_mac_only_encrypted: bool = False
) -> list[Document]:
    """The objects of an encrypted file, without its `sops` block; the values that were encrypted are `Sensitive`.

    Errors are `Invalid` and begin with file and line: no matching key (with the recipients), a changed value or MAC.
    """
    documents = load(text, at.file)
    try:
        sealed = read_sealed(text, documents)
        return open_objects(documents, sealed, identities, allow_mac_only_encrypted=allow_mac_only_encrypted)
    except BadField as error:
        line = position_of(text, documents[error.document].index, error.field) or at.line
        raise Invalid(f"{at._replace(line=line)}: {error}") from error


def read_sealed(text: str | bytes, documents: Sequence[Document]) -> Sealed:
    """An encrypted file without its keys. In the master only the parser's child does this. BadField: it is none."""
    return take_apart([document.value for document in documents], mac_values(text))


def open_objects(
    documents: Sequence[Document],
    sealed: Sealed,
    identities: Sequence[Sensitive],
    *,
    allow_mac_only_encrypted: bool = False,
) -> list[Document]:
    """As `decrypt`, for a file that was taken apart elsewhere. It may hold Secrets and ConfigMaps only."""
    check_form(documents, sealed, allow_mac_only_encrypted=allow_mac_only_encrypted)
    data_key = open_data_key(sealed.metadata, identities)
    return objects_by(documents, sealed, data_key, allow_mac_only_encrypted=allow_mac_only_encrypted)


def objects_by(
    documents: Sequence[Document], sealed: Sealed, data_key: bytes, *, allow_mac_only_encrypted: bool
) -> list[Document]:
    """As `open_objects`, with the data key at hand."""
    check_form(documents, sealed, allow_mac_only_encrypted=allow_mac_only_encrypted)
    values: dict[tuple[int, Path], Json] = {}
    for leaf, content, kind in opened_by(sealed, data_key):
        if kind != "str":
            what = f"decrypts to SOPS' type {kind}, wanted a text: quote it before encrypting"
            raise bad_leaf(leaf.document, leaf.path, what)
        values[leaf.document, leaf.path] = Sensitive(content)
    return _sealed_documents(documents, values)


def placeholders(
    documents: Sequence[Document], sealed: Sealed, *, allow_mac_only_encrypted: bool = False
) -> list[Document]:
    """As `open_objects` for whoever has no key: the form is checked, and every encrypted value is some base64 text."""
    check_form(documents, sealed, allow_mac_only_encrypted=allow_mac_only_encrypted)
    groups_of(sealed.metadata)
    for leaf in sealed.leaves:
        if leaf.encrypted and leaf.text and not is_encrypted_text(leaf.text):
            raise bad_leaf(
                leaf.document, leaf.path, "should be encrypted, but is not an ENC[AES256_GCM,…] text"
            )
    values = {(leaf.document, leaf.path): Sensitive(_PLACEHOLDER) for leaf in sealed.leaves if leaf.encrypted}
    return _sealed_documents(documents, values)


def opened_leaves(sealed: Sealed, identities: Sequence[Sensitive]) -> list[Opened]:
    """Every encrypted leaf in the clear, comments too, once the MAC has been found right. BadField: why not."""
    return opened_by(sealed, open_data_key(sealed.metadata, identities))


def opened_by(sealed: Sealed, data_key: bytes) -> list[Opened]:
    """As `opened_leaves`, with the data key at hand."""
    return [one for one in all_opened(sealed, data_key) if one.leaf.encrypted]


def all_opened(sealed: Sealed, data_key: bytes) -> list[Opened]:
    """Clear leaves too."""
    metadata = sealed.metadata
    mac, modified = metadata.get("mac"), metadata.get("lastmodified")
    if not isinstance(mac, str) or not mac:
        what = "sops.mac is missing: whether the file was changed cannot be told, so it is refused"
        raise BadField(0, "sops", what)
    if not isinstance(modified, str):
        raise BadField(0, "sops", "sops.lastmodified is missing")
    opened = [_opened(leaf, data_key) for leaf in sealed.leaves]
    try:
        stated, _ = decrypt_value(mac, data_key, modified.encode())
    except ValueError as error:
        raise BadField(0, "sops.mac", f"sops.mac {error}") from error
    only_encrypted = metadata.get("mac_only_encrypted") is True
    in_mac = ((one.leaf, one.plain) for one in opened if one.kind != "comment")
    if stated.decode(errors="replace") != mac_of(in_mac, only_encrypted=only_encrypted):
        raise BadField(0, "", "the file was changed after it was encrypted: its MAC does not match")
    return opened


def aad_of(leaf: Leaf) -> bytes:
    """A comment is bound to the mapping that it stands in."""
    return path_aad(leaf.path[:-1] if leaf.kind == "comment" else leaf.path)


def _opened(leaf: Leaf, data_key: bytes) -> Opened:
    if not leaf.encrypted or leaf.text == "":  # SOPS leaves empty texts as they are.
        return Opened(leaf, leaf.text.encode(), leaf.kind)
    try:
        plain, kind = decrypt_value(leaf.text, data_key, aad_of(leaf))
    except ValueError as error:
        if leaf.kind == "comment":  # As SOPS: it may never have been encrypted.
            return Opened(leaf, leaf.text.encode(), "comment")
        raise bad_leaf(leaf.document, leaf.path, str(error)) from error
    if kind == "comment" and leaf.kind != "comment" and isinstance(leaf.path[-1], str):
        raise bad_leaf(leaf.document, leaf.path, "is a comment where a value is wanted")
    return Opened(leaf, plain, kind)


def _sealed_documents(
    documents: Sequence[Document], values: Mapping[tuple[int, Path], Json]
) -> list[Document]:
    filled = with_values([_without_block(document.value) for document in documents], values)
    return [
        Document(seal_values(value), document.line, document.index)
        for value, document in zip(filled, documents, strict=True)
    ]


def _without_block(value: Json) -> Json:
    return {key: child for key, child in value.items() if key != "sops"}


def check_form(documents: Sequence[Document], sealed: Sealed, *, allow_mac_only_encrypted: bool) -> None:
    """What can be told without a key. BadField: it may not be read as objects."""
    for position, document in enumerate(documents):
        value = document.value
        held = (value.get("apiVersion"), value.get("kind")) if isinstance(value, dict) else ("", "")
        if held not in HOLDS:
            what = f"an encrypted file may hold only Secrets and ConfigMaps, found {held[0]} {held[1]}"
            raise BadField(position, "kind", what)
        if sealed.metadata.get("mac_only_encrypted") and held[1] == "Secret" and not allow_mac_only_encrypted:
            what = "sops.mac_only_encrypted is refused for Secrets: their name and namespace could be changed unseen"
            raise BadField(position, "sops.mac_only_encrypted", what)
    for leaf in sealed.leaves:
        if leaf.encrypted and leaf.path[0] not in SEALED_FIELDS:
            wanted = "only data, stringData and binaryData may be (encrypted_regex ^(data|stringData)$)"
            raise bad_leaf(leaf.document, leaf.path, f"is encrypted, {wanted}")


def with_values(documents: Sequence[Json], values: Mapping[tuple[int, Path], Json]) -> list[Any]:
    """Documents with `values` in their places. BadField: one has none."""
    remaining = dict(values)
    filled = [_filled(value, index, (), remaining) for index, value in enumerate(documents)]
    for document, path in remaining:  # Those that found a place are gone.
        what = "SOPS and kubectl read this key differently: quote it and encrypt again"
        raise BadField(document, shown(path), f"{shown(path)}: {what}")
    return filled


def _filled(value: Json, document: int, path: Path, values: dict[tuple[int, Path], Json]) -> Json:
    if isinstance(value, dict):
        return {key: _filled(child, document, (*path, key), values) for key, child in value.items()}
    if isinstance(value, list):
        items = (_filled(child, document, (*path, index), values) for index, child in enumerate(value))
        return [item for item in items if item is not _GONE]
    return values.pop((document, path), value)


def plain_values(opened: Sequence[Opened]) -> dict[tuple[int, Path], Json]:
    """What `with_values` takes: each leaf as the type that it had. Bytes that are no text stay bytes."""
    return {(one.leaf.document, one.leaf.path): _typed(one) for one in opened}


def _typed(one: Opened) -> Json:
    if one.kind == "comment" and isinstance(one.leaf.path[-1], int):
        return _GONE
    try:
        text = one.plain.decode()
    except UnicodeDecodeError:
        return one.plain
    try:
        return _TYPES[one.kind](text)
    except (KeyError, ValueError) as error:
        what = f"has SOPS' type {one.kind!r} with a value that is none"
        raise bad_leaf(one.leaf.document, one.leaf.path, what) from error
