"""Whole SOPS files of any format, for people: in the clear, encrypted, edited, under another data key.

What did not change keeps its cipher text, so that a diff shows what did. YAML keeps its comments; those that stand
where values are encrypted are encrypted too.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from gitops.kinds.errors import BadRequest
from gitops.kinds.objects import timestamp
from gitops.kinds.sensitive import Sensitive
from gitops.kinds.yaml import Json, load
from gitops.sync.secrets.cipher import IV_BYTES, decrypt_value, encrypt_value, mac_of, path_aad
from gitops.sync.secrets.data_key import (
    DATA_KEY_BYTES,
    Groups,
    groups_of,
    open_data_key,
    other_keys,
    sealed_data_key,
    threshold_of,
)
from gitops.sync.secrets.formats import (
    BINARY_KEY,
    Format,
    Tree,
    dotenv_block,
    dotenv_leaves,
    dotenv_values,
    read,
    without_block,
    written,
)
from gitops.sync.secrets.leaves import BLOCK, Leaf, leaves_of, mac_values
from gitops.sync.secrets.places import BadField, Path
from gitops.sync.secrets.reader import Opened, aad_of, all_opened, plain_values, with_values
from gitops.sync.secrets.rules import ENCRYPTED, has_comment_rule, rule_of
from gitops.sync.secrets.splice import in_flow, replaced, scalar
from gitops.sync.secrets.text import dump

FORMAT_VERSION: Final = "3.11.0"  # The SOPS whose format this is; not authenticated.
KEPT: Final = ("unencrypted_suffix", "encrypted_suffix", "unencrypted_regex", "encrypted_regex",
               "unencrypted_comment_regex", "encrypted_comment_regex", "mac_only_encrypted")  # fmt: skip

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Sealing:
    """How to encrypt: the data key as it is and as the block holds it, the rule's part of the block, the moment."""

    data_key: bytes
    holders: Mapping[str, Any]
    rule: Mapping[str, Any]
    now: datetime
    random_bytes: RandomBytes
    known: Mapping[tuple[bytes, bytes], str] = field(default_factory=dict)  # (AAD, plain) -> ENC[…]


def fresh_sealing(
    groups: Groups, threshold: int, rule: Mapping[str, Any], now: datetime, random_bytes: RandomBytes
) -> Sealing:
    """With a new data key. BadRequest: a recipient that is none."""
    data_key = random_bytes(DATA_KEY_BYTES)
    return Sealing(
        data_key, sealed_data_key(data_key, groups, threshold, random_bytes), rule, now, random_bytes
    )


def decrypt_whole(content: bytes, form: Format, identities: Sequence[Sensitive]) -> bytes:
    """A file in the clear. BadField: why not."""
    tree = read(content, form)
    data_key = open_data_key(tree.sealed.metadata, identities)
    return _clear(content, form, tree, all_opened(tree.sealed, data_key), data_key)


def encrypt_whole(content: bytes, form: Format, sealing: Sealing) -> bytes:
    """A file in the clear, encrypted. BadRequest, BadField: what cannot be."""
    match form:
        case Format.BINARY:
            leaf = Leaf(0, (BINARY_KEY,), "", True)
            return _json_file({BINARY_KEY: ""}, [Opened(leaf, content, "str")], sealing)
        case Format.DOTENV:
            values = dotenv_values(content.decode())
            return _dotenv_file(values, _as_opened(dotenv_leaves(values, dict(sealing.rule))), sealing)
        case Format.JSON:
            in_mac = mac_values(content)
            leaves = _as_opened(leaves_of(in_mac, rule_of(dict(sealing.rule))))
            return _json_file(load(content)[0].value, leaves, sealing)
        case Format.YAML:
            return _yaml_file(content.decode(), sealing).encode()
        case _:
            raise BadRequest("SOPS' INI format is not supported")


@dataclass(frozen=True, slots=True)
class Editing:
    """A file that is open in an editor. `clear` is what the editor shows."""

    form: Format
    clear: bytes
    sealing: Sealing

    def closed(self, content: bytes) -> bytes | None:
        """The file encrypted again, for the same keys. None: nothing was changed."""
        return None if content == self.clear else encrypt_whole(content, self.form, self.sealing)


def edit(
    content: bytes, form: Format, identities: Sequence[Sensitive], now: datetime, random_bytes: RandomBytes
) -> Editing:
    """Open a file. BadField: no key fits, or its rule depends on comments."""
    tree = read(content, form)
    metadata = tree.sealed.metadata
    if has_comment_rule(metadata):
        raise BadRequest("what the file encrypts depends on comments: edit it with `sops`")
    data_key = open_data_key(metadata, identities)
    opened = all_opened(tree.sealed, data_key)
    known = {(aad_of(one.leaf), one.plain): one.leaf.text for one in opened if ENCRYPTED.match(one.leaf.text)}
    known |= _known_comments(content, form, data_key)
    holders = {
        key: value for key, value in metadata.items() if key not in (*KEPT, "mac", "lastmodified", "version")
    }
    rule = {key: metadata[key] for key in KEPT if metadata.get(key)}
    clear = _clear(content, form, tree, opened, data_key)
    return Editing(form, clear, Sealing(data_key, holders, rule, now, random_bytes, known))


def rotate(
    content: bytes, form: Format, identities: Sequence[Sensitive], recipients: Sequence[str], now: datetime,
    random_bytes: RandomBytes,
) -> bytes:  # fmt: skip
    """Under a new data key, for the same recipients or for others. BadRequest: some of them are not ours to keep."""
    tree = read(content, form)
    metadata = tree.sealed.metadata
    others = other_keys(metadata)
    if others:
        raise BadRequest(
            f"the file is also for {', '.join(others)}, for which we cannot encrypt: use `sops rotate`"
        )
    groups = groups_of(metadata)
    if recipients and len(groups) > 1:
        raise BadRequest("the file has key groups: change its recipients with `sops`")
    old_key = open_data_key(metadata, identities)
    opened = all_opened(tree.sealed, old_key)
    rule = {key: metadata[key] for key in KEPT if metadata.get(key)}
    groups = (tuple(recipients),) if recipients else groups
    sealing = fresh_sealing(groups, threshold_of(metadata), rule, now, random_bytes)
    if form is Format.DOTENV:
        return _dotenv_file(tree.values[0], opened, sealing)
    if form is not Format.YAML:
        return _json_file(tree.values[0], opened, sealing)

    def comment(document: int, path: Path, text: str) -> str:
        plain = _opened_comment(text, path, old_key)
        return text if plain is None else _sealed_text(plain, "comment", path_aad(path), sealing)

    texts, block = _texts_and_block(opened, sealing)
    base = content.decode()
    spliced = replaced(base, _as_yaml(base, texts), comment, block)
    if spliced is not None and _is_meant(spliced, tree.values, texts):
        return spliced.encode()
    return _dumped(tree.values, texts, block).encode()


def _clear(content: bytes, form: Format, tree: Tree, opened: Sequence[Opened], data_key: bytes) -> bytes:
    values = plain_values([one for one in opened if one.leaf.encrypted])
    filled = with_values(tree.values, values)
    if form is Format.YAML:
        text = content.decode()
        flow = in_flow(text)
        texts = {
            (one.leaf.document, one.leaf.path): _shown(
                one, flow=flow.get((one.leaf.document, one.leaf.path), False)
            )
            for one in opened
            if one.leaf.encrypted and one.leaf.text
        }

        def comment(document: int, path: Path, said: str) -> str:
            plain = _opened_comment(said, path, data_key)
            return said if plain is None else plain.decode(errors="replace")

        spliced = replaced(text, texts, comment)
        if spliced is not None and _reads_as(spliced, filled):
            return spliced.encode()
    return written(filled, form)


def _reads_as(text: str, values: Sequence[Json]) -> bool:
    try:
        return [one.value for one in load(text)] == [value for value in values if value]
    except BadRequest:
        return False


def _shown(one: Opened, *, flow: bool) -> str:
    """A plain value as YAML."""
    text = one.plain.decode(errors="replace")
    if one.kind == "str":
        return scalar(text, flow=flow)
    if one.kind == "comment":
        return f"#{text}"
    if one.kind == "float":
        return text if "." in text else f"{text}.0"
    return text.lower() if one.kind == "bool" else text


def _as_opened(leaves: Any) -> list[Opened]:
    return [Opened(leaf, leaf.text.encode(), leaf.kind) for leaf in leaves]


def _sealed_text(plain: bytes, kind: str, aad: bytes, sealing: Sealing) -> str:
    known = sealing.known.get((aad, plain))
    number = ("int", "float")
    if known is not None and (match := ENCRYPTED.match(known)):
        was = match.group(4)
        if was == kind or (was in number and kind in number):
            return known
    return encrypt_value(plain, kind, sealing.data_key, sealing.random_bytes(IV_BYTES), aad)


def _texts_and_block(
    opened: Sequence[Opened], sealing: Sealing
) -> tuple[dict[tuple[int, Path], str], dict[str, Any]]:
    """Every encrypted leaf's text, and the `sops` block."""
    texts = {
        (one.leaf.document, one.leaf.path): _sealed_text(one.plain, one.kind, aad_of(one.leaf), sealing)
        for one in opened
        if one.leaf.encrypted and one.plain
    }
    only_encrypted = sealing.rule.get("mac_only_encrypted") is True
    in_mac = ((one.leaf, one.plain) for one in opened if one.kind != "comment")
    mac, modified = mac_of(in_mac, only_encrypted=only_encrypted), timestamp(sealing.now)
    iv = sealing.random_bytes(IV_BYTES)
    block = {
        **sealing.holders,
        "lastmodified": modified,
        "mac": encrypt_value(mac.encode(), "str", sealing.data_key, iv, modified.encode()),
        **sealing.rule,
        "version": FORMAT_VERSION,
    }
    return texts, block


def _json_file(values: Json, opened: Sequence[Opened], sealing: Sealing) -> bytes:
    texts, block = _texts_and_block(opened, sealing)
    (filled,) = with_values([values], texts)
    return (json.dumps({**filled, BLOCK: block}, indent="\t", ensure_ascii=False) + "\n").encode()


def _dotenv_file(values: Mapping[str, str], opened: Sequence[Opened], sealing: Sealing) -> bytes:
    texts, block = _texts_and_block(opened, sealing)
    (filled,) = with_values([dict(values)], texts)
    return written([filled], Format.DOTENV) + dotenv_block(block)


def _yaml_file(text: str, sealing: Sealing) -> str:
    values = [without_block(one.value) for one in load(text)]
    rule = rule_of(dict(sealing.rule))
    opened = _as_opened(leaves_of(mac_values(text), rule))
    texts, block = _texts_and_block(opened, sealing)

    def comment(document: int, path: Path, said: str) -> str:
        if not rule(path, "") or ENCRYPTED.match(said):
            return said
        return _sealed_text(said.encode(), "comment", path_aad(path), sealing)

    spliced = replaced(text, _as_yaml(text, texts), comment, block)
    if spliced is not None and _is_meant(spliced, values, texts):
        return spliced
    readable = dump(values)  # As the next reader will see it: the MAC is over that.
    texts, block = _texts_and_block(_as_opened(leaves_of(mac_values(readable), rule)), sealing)
    return _dumped(values, texts, block)


def _dumped(values: Sequence[Json], texts: Mapping[tuple[int, Path], str], block: Json) -> str:
    return dump([{**value, BLOCK: block} for value in with_values(values, texts)])


def _as_yaml(text: str, texts: Mapping[tuple[int, Path], str]) -> dict[tuple[int, Path], str]:
    """Cipher texts as they may stand: within flow style they need quotes."""
    flow = in_flow(text)
    return {place: f'"{value}"' if flow.get(place) else value for place, value in texts.items()}


def _is_meant(text: str, values: Sequence[Json], texts: Mapping[tuple[int, Path], str]) -> bool:
    """Whether an encrypted text says what was meant."""
    try:
        return [without_block(one.value) for one in load(text)] == with_values(values, texts)
    except BadField:
        return False


def _opened_comment(text: str, path: Path, data_key: bytes) -> bytes | None:
    """An encrypted comment's own text. SOPS binds it to a mapping, which may be one further out than we think."""
    if not ENCRYPTED.match(text):
        return None
    for length in range(len(path), -1, -1):
        try:
            return decrypt_value(text, data_key, path_aad(path[:length]))[0]
        except ValueError:
            continue
    return None


def _known_comments(content: bytes, form: Format, data_key: bytes) -> dict[tuple[bytes, bytes], str]:
    known: dict[tuple[bytes, bytes], str] = {}
    if form is not Format.YAML:
        return known

    def note(document: int, path: Path, text: str) -> str:
        plain = _opened_comment(text, path, data_key)
        if plain is not None:
            known[path_aad(path), plain] = text
        return text

    replaced(content.decode(), {}, note)
    return known
