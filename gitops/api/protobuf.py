"""Request bodies in Kubernetes' protobuf, read into the JSON that they stand for; answers stay JSON.

`kubectl create deployment`, `kubectl drain` and typed Go clients send such. A field that this version does not know is
skipped, as Kubernetes does: each newer client sends some, empty. The table of messages is made by
`tests/tools/build_protobuf.py`. Source: Kubernetes API concepts, "Protobuf encoding"; protobuf.dev, "Encoding".
"""

import base64
import gzip
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple, cast

import orjson

from gitops.kinds.errors import BadRequest
from gitops.kinds.objects import micro_timestamp, timestamp

MEDIA: Final = "application/vnd.kubernetes.protobuf"
_MAGIC: Final = b"k8s\x00"
_VARINT_BYTES_MAX: Final = 10
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # Wire types.
_FIXED_BYTES: Final = {_FIXED64: 8, _FIXED32: 4}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Json = Any  # A JSON value.
Message = Mapping[
    str, tuple[str, "str | int", str]
]  # Number -> JSON's name, type, how often and when it is shown.
Wire = int | bytes  # What stands in a field: a number, or bytes of a known length.


class _Table(NamedTuple):
    """`kinds` are named `apps/v1/Deployment`; the numbers lead into `messages`."""

    kinds: Mapping[str, int]
    messages: list[Message]


def decode(body: bytes, api_version: str, kind: str) -> dict[str, Json]:
    """The object in a body; it is taken as `kind` where it does not say itself what it is.

    Raises: BadRequest if it is malformed, or of a type that Kubernetes 1.35 does not have.
    """
    if not body.startswith(_MAGIC):
        raise BadRequest("the body is not Kubernetes' protobuf: it does not begin with `k8s` and a zero byte")
    api_version, kind, raw = _envelope(body[len(_MAGIC) :], api_version, kind)
    group, _, version = api_version.rpartition("/")
    # Delete options belong to every group.
    name = "/v1/DeleteOptions" if kind == "DeleteOptions" else f"{group}/{version}/{kind}"
    number = _table().kinds.get(name)
    if number is None:
        raise BadRequest(f"no kind {kind} of {api_version} is known as protobuf: send it as JSON")
    found: dict[str, Json] = {"apiVersion": api_version, "kind": kind}
    _fill(found, raw, number)
    return found


@cache
def _table() -> _Table:
    packed = orjson.loads(gzip.decompress((files("gitops.api") / "protobuf.json.gz").read_bytes()))
    return _Table(packed["kinds"], packed["messages"])


def _envelope(body: bytes, api_version: str, kind: str) -> tuple[str, str, bytes]:
    """`runtime.Unknown`: what it is, and its bytes."""
    raw = b""
    for number, found in _fields(body):
        if number == 1:
            for part, text in _fields(_as_bytes(found)):
                api_version = (_text(text) or api_version) if part == 1 else api_version
                kind = (_text(text) or kind) if part == 2 else kind
        elif number == 2:
            raw = _as_bytes(found)
        elif number == 3 and found:
            raise BadRequest(f"the body is encoded as {_text(found)!r}, wanted none")
        elif number == 4 and found and _text(found) != MEDIA:
            raise BadRequest(f"the body holds {_text(found)!r}, wanted {MEDIA}")
    return api_version, kind, raw


def _fill(into: dict[str, Json], body: bytes, message: int) -> None:
    """The fields of one message; those of a message without a name of its own stand in the one above.

    No type of the table holds itself, so the depth has a bound: that of the types.
    """
    fields = _table().messages[message]
    for number, found in _fields(body):
        if (field := fields.get(str(number))) is None:
            continue
        name, kind, how = field
        if how == "map":
            key, value = _entry(_as_bytes(found), kind)
            into.setdefault(name, {})[key] = value
        elif how == "list":
            into.setdefault(name, []).extend(_elements(found, kind))
        elif not name:
            _fill(into, _as_bytes(found), cast(int, kind))
        elif isinstance(kind, int):  # A message that comes in parts is one.
            into[name] = _message(into.get(name), found, kind)
        elif (value := _value(found, kind)) or (how == "one" and value is not None):
            into[name] = value
        else:
            into.pop(name, None)


def _message(so_far: Json, found: Wire, message: int) -> Json:
    """A map, or the list of a message that is one (`ExtraValue`)."""
    into: dict[str, Json] = so_far if isinstance(so_far, dict) else {}
    _fill(into, _as_bytes(found), message)
    return into.get("", []) if _is_list(message) else into


def _is_list(message: int) -> bool:
    return [(name, how) for name, _, how in _table().messages[message].values()] == [("", "list")]


def _entry(body: bytes, kind: str | int) -> tuple[str, Json]:
    """A map's key and value."""
    key, held = "", None
    for number, found in _fields(body):
        if number == 1:
            key = _text(found)
        elif number == 2:
            held = found
    if held is None:
        held = 0 if kind in ("bool", "int") else b""
    return key, _value(held, kind)


def _elements(found: Wire, kind: str | int) -> list[Json]:
    """One of a list, or several numbers that are packed into one."""
    if kind in ("int", "bool") and isinstance(found, bytes):
        numbers, at = [], 0
        while at < len(found):
            one, at = _varint(found, at)
            numbers.append(_value(one, kind))
        return numbers
    return [_value(found, kind)]


def _value(found: Wire, kind: str | int) -> Json:
    """None: not set."""
    if isinstance(kind, int):
        return _message(None, found, kind)
    return _SCALARS[kind](found)


def _text(found: Wire) -> str:
    try:
        return _as_bytes(found).decode()
    except UnicodeDecodeError as error:
        raise BadRequest("the body is malformed: a text is not UTF-8") from error


def _as_bytes(found: Wire) -> bytes:
    if isinstance(found, int):
        raise BadRequest("the body is malformed: found a number, wanted bytes")
    return found


def _number(found: Wire) -> int:
    """Of 64 bits, of which the highest is the sign."""
    if not isinstance(found, int):
        raise BadRequest("the body is malformed: found bytes, wanted a number")
    return found - (1 << 64) if found >> 63 else found


def _parts(found: Wire) -> dict[int, Wire]:
    return dict(_fields(_as_bytes(found)))


def _quantity(found: Wire) -> str:
    return _text(_parts(found).get(1, b"")) or "0"


def _int_or_string(found: Wire) -> int | str:
    parts = _parts(found)
    return _text(parts.get(3, b"")) if _number(parts.get(1, 0)) else _number(parts.get(2, 0))


def _moment(found: Wire) -> datetime | None:
    """None: the zero time, which is written as an empty message."""
    parts = _parts(found)
    seconds, nanoseconds = _number(parts.get(1, 0)), _number(parts.get(2, 0))
    if not seconds and not nanoseconds:
        return None
    try:
        return _EPOCH + timedelta(seconds=seconds, microseconds=nanoseconds // 1000)
    except OverflowError as error:
        raise BadRequest(f"the body is malformed: no time has {seconds} seconds since 1970") from error


def _time(found: Wire) -> str | None:
    moment = _moment(found)
    return timestamp(moment) if moment else None


def _micro_time(found: Wire) -> str | None:
    moment = _moment(found)
    return micro_timestamp(moment) if moment else None


def _json(found: Wire) -> Json:
    """`RawExtension` and `FieldsV1`: JSON as bytes."""
    text = _as_bytes(_parts(found).get(1, b""))
    try:
        return orjson.loads(text) if text else None
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is malformed: {error}") from error


_SCALARS: Final[Mapping[str, Callable[[Wire], Json]]] = {
    "string": _text,
    "bytes": lambda found: base64.b64encode(_as_bytes(found)).decode(),
    "int": _number,
    "bool": lambda found: bool(_number(found)),
    "quantity": _quantity,
    "int-or-string": _int_or_string,
    "time": _time,
    "microtime": _micro_time,
    "raw": _json,
    "fields": _json,
}


def _fields(body: bytes) -> Iterator[tuple[int, Wire]]:
    """Number and content of each field. Those of fixed size are given as bytes: no type of ours has one."""
    at = 0
    while at < len(body):
        tag, at = _varint(body, at)
        wire = tag & 7
        if wire == _VARINT:
            number, at = _varint(body, at)
            yield tag >> 3, number
            continue
        if wire == _BYTES:
            size, at = _varint(body, at)
        elif wire in _FIXED_BYTES:
            size = _FIXED_BYTES[wire]
        else:
            raise BadRequest(f"the body is malformed: wire type {wire} at byte {at}")
        if size > len(body) - at:
            raise BadRequest(f"the body is malformed: it ends within field {tag >> 3}")
        yield tag >> 3, body[at : at + size]
        at += size


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """A number of at most 64 bits, and where the next thing begins."""
    found = 0
    for index in range(_VARINT_BYTES_MAX):
        if at + index >= len(body):
            raise BadRequest("the body is malformed: it ends within a number")
        byte = body[at + index]
        found |= (byte & 127) << (7 * index)
        if byte < 128:
            return found & ((1 << 64) - 1), at + index + 1
    raise BadRequest("the body is malformed: a number of more than 64 bits")
