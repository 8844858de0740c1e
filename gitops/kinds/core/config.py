"""ConfigMap and Secret (core/v1). In the master a Secret's values are `Sensitive`, as are those of encrypted ConfigMaps.

Source: Kubernetes API reference 1.35.
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final, NotRequired, TypeVar, cast

from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject
from gitops.kinds.sensitive import Sensitive

SEALED_FIELDS: Final = ("data", "binaryData", "stringData")

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

    A Secret's stringData is moved into data as base64, where it wins. What is no text is left for the schema to refuse.
    Sealing twice is sealing once.
    """
    sealed: dict[str, Any] = dict(obj)
    for name in SEALED_FIELDS:
        if isinstance(values := sealed.get(name), Mapping):
            sealed[name] = {
                key: Sensitive(value) if isinstance(value, str) else value for key, value in values.items()
            }
    if obj["kind"] == "Secret":
        _merge_string_data(sealed)
    return cast(O, sealed)


def _merge_string_data(sealed: dict[str, Any]) -> None:
    """On the copy that `seal_values` made. Values that are no text keep the field, so that the schema names it."""
    clear = sealed.get("stringData")
    if not isinstance(clear, Mapping) or not all(isinstance(value, Sensitive) for value in clear.values()):
        return
    encoded = {key: Sensitive(b64encode(value.reveal())) for key, value in clear.items()}
    del sealed["stringData"]
    if encoded or "data" in sealed:
        sealed["data"] = {**(sealed.get("data") or {}), **encoded}


CONFIG_MAP: Final[Kind[ConfigMap]] = Kind("v1", "ConfigMap", "configmaps", short=("cm",), shape=ConfigMap)
SECRET: Final[Kind[Secret]] = Kind("v1", "Secret", "secrets", shape=Secret, field_selectors=("type",))
