"""Opening SOPS files. The MAC covers every value of the file as it lies in git; nothing is given out before."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from gitops.kinds.core.config import SEALED_FIELDS, seal_values
from gitops.kinds.errors import BadRequest, Invalid
from gitops.kinds.keys import Origin
from gitops.kinds.sensitive import Sensitive
from gitops.kinds.yaml import Document, Json, load
from gitops.sync.secrets.cipher import decrypt_value, is_encrypted_text, mac_of, path_aad
from gitops.sync.secrets.keys import open_data_key, recipients_of
from gitops.sync.secrets.leaves import SOPS, Leaf, Sealed, is_sealed, take_apart
from gitops.sync.secrets.text import dump

HOLDS: Final = (("v1", "Secret"), ("v1", "ConfigMap"))
_TYPES: Final[dict[str, Callable[[str], Json]]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": lambda text: text.lower() == "true",
    "time": str,
    "bytes": str,
    "comment": str,
}
_PLACEHOLDER: Final = "AAAA"
Path = tuple[str | int, ...]


def decrypt(text: str | bytes, identities: Sequence[Sensitive], at: Origin) -> list[Document]:
    """The objects of an encrypted file, without its `sops` block; the values that were encrypted are `Sensitive`.

    Errors are `Invalid` and begin with `at`: no matching key (with the file's recipients), a changed value or MAC.
    """
    documents = load(text, at.file)
    try:
        return open_objects(documents, read_sealed(text, documents), identities)
    except Invalid as error:
        raise type(error)(f"{at}: {error}") from error


def read_sealed(text: str | bytes, documents: Sequence[Document]) -> Sealed:
    """An encrypted file without its keys. In the master only the parser's child does this. Invalid: it is none."""
    try:
        return take_apart([document.value for document in documents], [d.value for d in load(text, "", SOPS)])
    except ValueError as error:
        raise Invalid(str(error)) from error


def open_objects(
    documents: Sequence[Document], sealed: Sealed, identities: Sequence[Sensitive]
) -> list[Document]:
    """As `decrypt`, for a file that was taken apart elsewhere. It may hold Secrets and ConfigMaps only."""
    _check_form(documents, sealed)
    plain = _plain_leaves(sealed, identities)
    values: dict[tuple[int, Path], Json] = {}
    for leaf, content, kind in plain:
        if kind != "str":
            raise Invalid(
                f"{_shown(leaf.path)} decrypts to SOPS' type {kind}, wanted a text: quote it before encrypting"
            )
        values[leaf.document, leaf.path] = Sensitive(content)
    return _sealed_documents(documents, values)


def placeholders(documents: Sequence[Document], sealed: Sealed) -> list[Document]:
    """As `open_objects` for whoever has no key: the form is checked, and every encrypted value is some base64 text."""
    _check_form(documents, sealed)
    recipients_of(sealed.metadata)
    for leaf in sealed.leaves:
        if leaf.encrypted and leaf.text and not is_encrypted_text(leaf.text):
            raise Invalid(f"{_shown(leaf.path)} should be encrypted, but is not an ENC[AES256_GCM,…] text")
    values = {(leaf.document, leaf.path): Sensitive(_PLACEHOLDER) for leaf in sealed.leaves if leaf.encrypted}
    return _sealed_documents(documents, values)


def decrypt_file(text: str | bytes, identities: Sequence[Sensitive]) -> str:
    """A whole file in the clear, as YAML, of whatever kind. Comments are not kept."""
    documents = load(text)
    if not is_sealed([document.value for document in documents]):
        raise BadRequest("the file is not encrypted: it has no `sops` block")
    plain = _plain_leaves(read_sealed(text, documents), identities)
    values = {(leaf.document, leaf.path): _typed(leaf, content, kind) for leaf, content, kind in plain}
    return dump(_with_values(documents, values))


def _plain_leaves(sealed: Sealed, identities: Sequence[Sensitive]) -> list[tuple[Leaf, bytes, str]]:
    """Every encrypted leaf with its plain bytes and type, once the MAC has been found right."""
    metadata = sealed.metadata
    mac, modified = metadata.get("mac"), metadata.get("lastmodified")
    if not isinstance(mac, str) or not mac:
        raise Invalid("sops.mac is missing: whether the file was changed cannot be told, so it is refused")
    if not isinstance(modified, str):
        raise Invalid("sops.lastmodified is missing")
    data_key = open_data_key(metadata, identities)
    opened = [(leaf, *_opened(leaf, data_key)) for leaf in sealed.leaves]
    try:
        stated, _ = decrypt_value(mac, data_key, modified.encode())
    except ValueError as error:
        raise Invalid(f"sops.mac {error}") from error
    only_encrypted = metadata.get("mac_only_encrypted") is True
    found = mac_of(((leaf, content) for leaf, content, _ in opened), only_encrypted=only_encrypted)
    if stated.decode(errors="replace") != found:
        raise Invalid("the file was changed after it was encrypted: its MAC does not match")
    return [(leaf, content, kind) for leaf, content, kind in opened if leaf.encrypted]


def _opened(leaf: Leaf, data_key: bytes) -> tuple[bytes, str]:
    if not leaf.encrypted or leaf.text == "":  # SOPS leaves empty texts as they are.
        return leaf.text.encode(), "str"
    try:
        return decrypt_value(leaf.text, data_key, path_aad(leaf.path))
    except ValueError as error:
        raise Invalid(f"{_shown(leaf.path)} {error}") from error


def _sealed_documents(
    documents: Sequence[Document], values: Mapping[tuple[int, Path], Json]
) -> list[Document]:
    filled = _with_values(documents, values)
    return [
        Document(seal_values(value), document.line, document.index)
        for value, document in zip(filled, documents, strict=True)
    ]


def _check_form(documents: Sequence[Document], sealed: Sealed) -> None:
    """What can be told without a key."""
    for document in documents:
        _check_holds(document.value, sealed)
    for leaf in sealed.leaves:
        if leaf.encrypted and leaf.path[0] not in SEALED_FIELDS:
            wanted = "only data, stringData and binaryData may be (encrypted_regex ^(data|stringData)$)"
            raise Invalid(f"{_shown(leaf.path)} is encrypted, {wanted}")


def _check_holds(value: Json, sealed: Sealed) -> None:
    held = (value.get("apiVersion"), value.get("kind")) if isinstance(value, dict) else ("", "")
    if held not in HOLDS:
        raise Invalid(f"an encrypted file may hold only Secrets and ConfigMaps, found {held[0]} {held[1]}")
    if sealed.metadata.get("mac_only_encrypted") and held[1] == "Secret":
        raise Invalid(
            "sops.mac_only_encrypted is refused for Secrets: their name and namespace could be changed unseen"
        )


def _with_values(documents: Sequence[Document], values: Mapping[tuple[int, Path], Json]) -> list[Any]:
    """The documents without their `sops` blocks, with `values` in their places."""
    filled, remaining = [], dict(values)
    for index, document in enumerate(documents):
        value = {key: child for key, child in document.value.items() if key != "sops"}
        filled.append(_filled(value, index, (), remaining))
    for _, path in remaining:  # Those that found a place are gone.
        raise Invalid(
            f"{_shown(path)}: SOPS and kubectl read this key differently: quote it and encrypt again"
        )
    return filled


def _filled(value: Json, document: int, path: Path, values: dict[tuple[int, Path], Json]) -> Json:
    if isinstance(value, dict):
        return {key: _filled(child, document, (*path, key), values) for key, child in value.items()}
    if isinstance(value, list):
        return [_filled(child, document, (*path, index), values) for index, child in enumerate(value)]
    return values.pop((document, path), value)


def _typed(leaf: Leaf, content: bytes, kind: str) -> Json:
    try:
        return _TYPES[kind](content.decode())
    except (KeyError, ValueError) as error:
        raise Invalid(
            f"{_shown(leaf.path)}: SOPS' type {kind!r} with such a value is not supported"
        ) from error


def _shown(path: Path) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")
