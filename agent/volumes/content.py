"""The files of a configMap, secret, downwardAPI or projected volume: path -> bytes and mode. Pure.

Source: kubernetes/pkg/volume/{configmap,secret,downwardapi,projected} (`MakePayload`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from agent.volumes.downward import Surroundings, field_value, resource_value
from agent.volumes.references import Lookup, Reference, token_of, values_of
from gitops.kinds.core.pod import Pod
from gitops.kinds.core.volumes import DownwardAPIVolumeFile, KeyToPath, Volume, VolumeProjection
from gitops.kinds.errors import Invalid, NotFound

GROUP_READ: Final = 0o440  # What fsGroup adds to a mode: 0400 becomes 0440.
TOKEN_MODE: Final = 0o600  # Of a token in a pod with fsGroup, which adds its group.
SOURCES: Final = ("configMap", "secret", "downwardAPI", "projected")


class File(NamedTuple):
    content: bytes  # May be a secret: a File is never logged.
    mode: int

    def __repr__(self) -> str:
        return f"File({len(self.content)} bytes, {self.mode:04o})"


def has_content(volume: Volume) -> bool:
    """Whether we write its files."""
    return any(source in volume for source in SOURCES)


def files_of(pod: Pod, volume: Volume, lookup: Lookup, around: Surroundings) -> Mapping[str, File]:
    """The files of one volume. Raises NotFound for what is required and absent, Invalid for a path that leaves it."""
    namespace = pod["metadata"].get("namespace", "")
    if "configMap" in volume:
        config = volume["configMap"]
        reference = Reference("ConfigMap", namespace, config.get("name", ""))
        optional, mode = config.get("optional", False), config["defaultMode"]
        found = _of_keys(lookup, reference, config.get("items"), mode=mode, optional=optional)
    elif "secret" in volume:
        secret = volume["secret"]
        reference = Reference("Secret", namespace, secret.get("secretName", ""))
        optional, mode = secret.get("optional", False), secret["defaultMode"]
        found = _of_keys(lookup, reference, secret.get("items"), mode=mode, optional=optional)
    elif "downwardAPI" in volume:
        downward = volume["downwardAPI"]
        found = _of_fields(pod, downward.get("items", ()), downward["defaultMode"], around)
    elif "projected" in volume:
        projected, found = volume["projected"], {}
        for source in projected.get("sources", ()):
            found |= _of_projection(pod, volume, source, lookup, around)
    else:
        found = {}
    if "fsGroup" in pod["spec"].get("securityContext", {}):
        found = {path: File(file.content, file.mode | GROUP_READ) for path, file in found.items()}
    return {_inside(path): file for path, file in found.items()}


def _of_projection(
    pod: Pod, volume: Volume, source: VolumeProjection, lookup: Lookup, around: Surroundings
) -> dict[str, File]:
    namespace, mode = pod["metadata"].get("namespace", ""), volume["projected"]["defaultMode"]
    if "serviceAccountToken" in source:
        projection = source["serviceAccountToken"]
        token = lookup.token(token_of(pod, volume["name"], projection))
        if "fsGroup" in pod["spec"].get("securityContext", {}):
            mode = TOKEN_MODE
        return {projection["path"]: File(token.reveal(), mode)} if token is not None else {}
    if "configMap" in source:
        config = source["configMap"]
        reference, optional = (
            Reference("ConfigMap", namespace, config.get("name", "")),
            config.get("optional", False),
        )
        return _of_keys(lookup, reference, config.get("items"), mode=mode, optional=optional)
    if "secret" in source:
        secret = source["secret"]
        reference, optional = (
            Reference("Secret", namespace, secret.get("name", "")),
            secret.get("optional", False),
        )
        return _of_keys(lookup, reference, secret.get("items"), mode=mode, optional=optional)
    if "downwardAPI" in source:
        return _of_fields(pod, source["downwardAPI"].get("items", ()), mode, around)
    return {}


def _of_keys(
    lookup: Lookup, reference: Reference, items: Sequence[KeyToPath] | None, *, mode: int, optional: bool
) -> dict[str, File]:
    values = values_of(lookup, reference, optional=optional)
    if items is None:
        return {key: File(value, mode) for key, value in values.items()}
    files: dict[str, File] = {}
    for item in items:
        if item["key"] in values:
            files[item["path"]] = File(values[item["key"]], item.get("mode", mode))
        elif not optional:
            raise NotFound(f"references non-existent {reference.kind.lower()} key: {item['key']}")
    return files


def _of_fields(
    pod: Pod, items: Iterable[DownwardAPIVolumeFile], mode: int, around: Surroundings
) -> dict[str, File]:
    files: dict[str, File] = {}
    for item in items:
        if "fieldRef" in item:
            text = field_value(pod, item["fieldRef"]["fieldPath"], around)
        elif "resourceFieldRef" in item:
            text = resource_value(pod, pod["spec"]["containers"][0], item["resourceFieldRef"], around)
        else:
            continue
        files[item["path"]] = File(text.encode(), item.get("mode", mode))
    return files


def _inside(path: str) -> str:
    """A path that stays in its volume, and clear of the names that an atomic swap uses."""
    parts = path.split("/")
    if (
        not path
        or path.startswith("/")
        or ".." in parts
        or "" in parts
        or "." in parts
        or parts[0].startswith("..")
    ):
        raise Invalid(f"volume item path: found {path!r}, wanted a relative path without '..'")
    if "\0" in path:
        raise Invalid("volume item path: found a zero byte")
    return path
