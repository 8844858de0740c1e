"""ConfigMap and Secret (core/v1). In the master a Secret's values are `Sensitive`, so are an encrypted ConfigMap's.

Source: Kubernetes API reference 1.35.
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NotRequired, TypeVar, cast

import orjson

from gitops.kinds import names, wording
from gitops.kinds.filling import fill_zero
from gitops.kinds.kind import Kind, Problem
from gitops.kinds.objects import KubeObject
from gitops.kinds.sensitive import Sensitive
from gitops.kinds.tables import Row, age_of, columns, name_of

SEALED_FIELDS: Final = ("data", "binaryData", "stringData")
DATA_BYTES_MAX: Final = 1024 * 1024  # As Kubernetes.
_REQUIRED_KEYS: Final = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}
_NO_LINE_ENDS: Final = str.maketrans("", "", "\r\n")

O = TypeVar("O", bound=KubeObject)  # noqa: E741 # Any object: only its data fields are looked at.


class ConfigMap(KubeObject):
    data: NotRequired[dict[str, str | Sensitive]]
    binaryData: NotRequired[dict[str, str | Sensitive]]  # Base64.
    immutable: NotRequired[bool]


class Secret(KubeObject):
    type: str
    data: NotRequired[dict[str, Sensitive]]  # Base64 inside.
    stringData: NotRequired[dict[str, Sensitive]]  # Only on the way in: becomes `data`.
    immutable: NotRequired[bool]


def seal_values(obj: O) -> O:
    """The object with every text in data, binaryData and stringData made `Sensitive`.

    A Secret's stringData is moved into data as base64, where it wins; base64 in several lines becomes one, as Go's
    decoder takes it. What is no text is left for the schema to refuse. Sealing twice is sealing once.
    """
    sealed: dict[str, Any] = dict(obj)
    for name in SEALED_FIELDS:
        if isinstance(values := sealed.get(name), Mapping):
            is_base64 = name == "binaryData" or (name == "data" and obj["kind"] == "Secret")
            sealed[name] = {key: _sealed(value, is_base64) for key, value in values.items()}
    if obj["kind"] == "Secret":
        _merge_string_data(sealed)
    return cast(O, sealed)


def _sealed(value: object, is_base64: bool) -> object:
    if not isinstance(value, str | Sensitive):
        return value
    found = _one_line(value) if is_base64 else value
    return Sensitive(found) if isinstance(found, str) else found


def _one_line(value: str | Sensitive) -> str | Sensitive:
    if isinstance(value, str):
        return value.translate(_NO_LINE_ENDS)
    text = value.reveal()
    return Sensitive(text.translate(None, b"\r\n")) if b"\n" in text or b"\r" in text else value


def _merge_string_data(sealed: dict[str, Any]) -> None:
    """On the copy that `seal_values` made. Values that are no text keep the field, so that the schema names it."""
    clear = sealed.get("stringData")
    if not isinstance(clear, Mapping) or not all(isinstance(value, Sensitive) for value in clear.values()):
        return
    encoded = {key: Sensitive(b64encode(value.reveal())) for key, value in clear.items()}
    del sealed["stringData"]
    if encoded or "data" in sealed:
        sealed["data"] = {**(sealed.get("data") or {}), **encoded}


def default_config_map(config: ConfigMap) -> ConfigMap:
    """Its base64 in one line each, sealed or not."""
    values = config.get("binaryData") or {}
    one_line = {key: _one_line(value) for key, value in values.items()}
    return config if one_line == values else {**config, "binaryData": one_line}


def default_secret(secret: Secret) -> Secret:
    return fill_zero(seal_values(secret) if _is_open(secret) else secret, type="Opaque")


def _is_open(secret: Secret) -> bool:
    """Whether a value still lies in the clear, or waits in stringData."""
    values = (secret.get("data") or {}).values()
    return "stringData" in secret or any(not isinstance(value, Sensitive) for value in values)


def _decoded(value: object) -> bytes | None:
    """The bytes of a base64 text, None if it is none. Only to check them: they go nowhere."""
    text = value.reveal() if isinstance(value, Sensitive) else str(value).encode()
    try:
        return b64decode(text, validate=True)
    except binascii.Error:
        return None


def _size_bytes(value: object) -> int:
    return len(value.reveal() if isinstance(value, Sensitive) else str(value).encode())


def _check_keys(obj: ConfigMap | Secret, fields: tuple[str, ...]) -> Iterator[Problem]:
    seen: set[str] = set()
    size_bytes = 0
    for field in fields:
        values: Mapping[str, object] = cast(Mapping[str, Any], obj).get(field) or {}
        for key, value in values.items():
            if wrong := names.config_key(key):
                yield wording.invalid(f"{field}[{key}]", key, wrong)
            if key in seen:
                yield wording.invalid(f"{field}[{key}]", key, "duplicate of key present in data")
            if (field == "binaryData" or obj["kind"] == "Secret") and _decoded(value) is None:
                yield Problem(f"{field}[{key}]", "Invalid value: illegal base64 data")
            seen.add(key)
            size_bytes += _size_bytes(value)
    if size_bytes > DATA_BYTES_MAX:
        yield wording.too_long("", DATA_BYTES_MAX)


def check_config_map(config: ConfigMap) -> Iterator[Problem]:
    return _check_keys(config, ("data", "binaryData"))


def check_secret(secret: Secret) -> Iterator[Problem]:
    yield from _check_keys(secret, ("data",))
    data = secret.get("data") or {}
    for key in _REQUIRED_KEYS.get(secret["type"], ()):
        if key not in data:
            yield wording.required(f"data[{key}]")
    if secret["type"] == "kubernetes.io/basic-auth" and not data.keys() & {"username", "password"}:
        yield wording.required("data[username]")
        yield wording.required("data[password]")
    for key in (".dockerconfigjson", ".dockercfg"):
        if key in _REQUIRED_KEYS.get(secret["type"], ()) and key in data and not _is_json(data[key]):
            yield Problem(f"data[{key}]", "Invalid value: <secret contents redacted>: must be JSON")


def _is_json(value: Sensitive) -> bool:
    try:
        orjson.loads(_decoded(value) or b"")
    except orjson.JSONDecodeError:
        return False
    return True


def check_config_update(old: ConfigMap, new: ConfigMap) -> Iterator[Problem]:
    """An immutable ConfigMap keeps its values, and stays immutable."""
    return _check_immutable(old, new, ("data", "binaryData"))


def check_secret_update(old: Secret, new: Secret) -> Iterator[Problem]:
    if old["type"] != new["type"]:
        yield wording.invalid("type", new["type"], wording.IMMUTABLE)
    yield from _check_immutable(old, new, ("data",))


def _check_immutable(
    old: ConfigMap | Secret, new: ConfigMap | Secret, fields: tuple[str, ...]
) -> Iterator[Problem]:
    if not old.get("immutable"):
        return
    why = "field is immutable when `immutable` is set"
    if not new.get("immutable"):
        yield wording.forbidden("immutable", why)
    before, after = cast(Mapping[str, Any], old), cast(Mapping[str, Any], new)
    for field in fields:
        if (before.get(field) or {}) != (after.get(field) or {}):
            yield wording.forbidden(field, why)


def _config_cells(config: ConfigMap, now: datetime) -> Row:
    count = len(config.get("data") or ()) + len(config.get("binaryData") or ())
    return name_of(config), count, age_of(config, now)


def _secret_cells(secret: Secret, now: datetime) -> Row:
    return name_of(secret), secret["type"], len(secret.get("data") or ()), age_of(secret, now)


CONFIG_MAP: Final[Kind[ConfigMap]] = Kind(
    "v1",
    "ConfigMap",
    "configmaps",
    short=("cm",),
    shape=ConfigMap,
    defaults=default_config_map,
    check=check_config_map,
    check_update=check_config_update,
    columns=columns("Name", "Data", "Age", numbers=["Data"]),
    cells=_config_cells,
)
SECRET: Final[Kind[Secret]] = Kind(
    "v1",
    "Secret",
    "secrets",
    shape=Secret,
    defaults=default_secret,
    check=check_secret,
    check_update=check_secret_update,
    columns=columns("Name", "Type", "Data", "Age", numbers=["Data"]),
    cells=_secret_cells,
    field_selectors=("type",),
)
