"""The rules of a pod's volumes, in Kubernetes' words. Source: Kubernetes, pkg/apis/core/validation."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gitops.kinds import names, quantity, wording
from gitops.kinds.core.container_checks import check_inner_path
from gitops.kinds.core.volumes import Volume
from gitops.kinds.kind import Problem

FILE_MODE_MAX: Final = 0o777
TOKEN_SECONDS_MIN: Final = 600
TOKEN_SECONDS_MAX: Final = 1 << 32
_PROJECTIONS: Final = (
    "configMap",
    "secret",
    "downwardAPI",
    "serviceAccountToken",
    "clusterTrustBundle",
    "podCertificate",
)
_FILE_FIELDS: Final = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "metadata.labels",
    "metadata.annotations",
)


def check_volumes(volumes: list[Volume], field: str) -> Iterator[Problem]:
    """Every broken rule of the volumes of one pod."""
    seen: set[str] = set()
    for index, volume in enumerate(volumes):
        at, name = f"{field}[{index}]", volume.get("name") or ""
        if not name:
            yield wording.required(f"{at}.name")
        elif wrong := names.dns_label(name):
            yield wording.invalid(f"{at}.name", name, wrong)
        elif name in seen:
            yield wording.duplicate(f"{at}.name", name)
        seen.add(name)
        yield from _check_source(volume, at)


def _check_source(volume: Volume, field: str) -> Iterator[Problem]:
    sources: Mapping[str, Any] = {name: one for name, one in volume.items() if name != "name"}
    if not sources:
        yield wording.required(field, "must specify a volume type")
    for extra in list(sources)[1:]:
        yield wording.forbidden(f"{field}.{extra}", "may not specify more than 1 volume type")
    if (empty := volume.get("emptyDir")) is not None:
        yield from _check_size(empty.get("sizeLimit"), f"{field}.emptyDir.sizeLimit")
    yield from _check_elsewhere(volume, field)
    if (config := volume.get("configMap")) is not None:
        if not config.get("name"):
            yield wording.required(f"{field}.configMap.name")
        yield from _check_files(config, f"{field}.configMap")
    if (secret := volume.get("secret")) is not None:
        if not secret.get("secretName"):
            yield wording.required(f"{field}.secret.secretName")
        yield from _check_files(secret, f"{field}.secret")
    yield from _check_composed(volume, field)


def _check_elsewhere(volume: Volume, field: str) -> Iterator[Problem]:
    """Volumes whose data lies outside of the pod."""
    if (host := volume.get("hostPath")) is not None:
        path = host.get("path") or ""
        if not path:
            yield wording.required(f"{field}.hostPath.path")
        elif ".." in path.split("/"):
            yield wording.invalid(f"{field}.hostPath.path", path, "must not contain '..'")
    if (claim := volume.get("persistentVolumeClaim")) is not None and not claim.get("claimName"):
        yield wording.required(f"{field}.persistentVolumeClaim.claimName")
    if (nfs := volume.get("nfs")) is not None:
        for part in ("server", "path"):
            if not nfs.get(part):
                yield wording.required(f"{field}.nfs.{part}")
        if not (nfs.get("path") or "/").startswith("/"):
            yield wording.invalid(f"{field}.nfs.path", nfs["path"], "must be an absolute path")


def _check_composed(volume: Volume, field: str) -> Iterator[Problem]:
    """Volumes whose files come from several places."""
    if (downward := volume.get("downwardAPI")) is not None:
        yield from _check_mode(downward.get("defaultMode"), f"{field}.downwardAPI.defaultMode")
        yield from _check_downward(downward, f"{field}.downwardAPI")
    if (projected := volume.get("projected")) is not None:
        yield from _check_mode(projected.get("defaultMode"), f"{field}.projected.defaultMode")
        for index, source in enumerate(projected.get("sources") or ()):
            yield from _check_projection(source, f"{field}.projected.sources[{index}]")


def _check_size(size: str | None, field: str) -> Iterator[Problem]:
    if size is None:
        return
    try:
        if quantity.parse(size) < 0:
            yield wording.forbidden(field, "SizeLimit field must be a valid resource quantity")
    except ValueError as error:
        yield wording.invalid(field, size, str(error))


def _check_projection(source: Mapping[str, Any], field: str) -> Iterator[Problem]:
    given = [one for one in _PROJECTIONS if source.get(one) is not None]
    if not given:
        yield wording.required(field, "must specify a volume type")
    for extra in given[1:]:
        yield wording.forbidden(f"{field}.{extra}", "may not specify more than 1 volume type")
    for one in ("configMap", "secret"):
        if (projection := source.get(one)) is not None:
            if not projection.get("name"):
                yield wording.required(f"{field}.{one}.name")
            yield from _check_files(projection, f"{field}.{one}")
    if (downward := source.get("downwardAPI")) is not None:
        yield from _check_downward(downward, f"{field}.downwardAPI")
    if (token := source.get("serviceAccountToken")) is not None:
        yield from _check_token(token, f"{field}.serviceAccountToken")


def _check_token(source: Mapping[str, Any], field: str) -> Iterator[Problem]:
    seconds, path = source.get("expirationSeconds"), source.get("path") or ""
    if seconds is not None and seconds < TOKEN_SECONDS_MIN:
        yield wording.invalid(
            f"{field}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"
        )
    if seconds is not None and seconds > TOKEN_SECONDS_MAX:
        yield wording.invalid(
            f"{field}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"
        )
    if not path:
        yield wording.required(f"{field}.path")
    else:
        yield from check_inner_path(path, f"{field}.path")


def _check_files(source: Mapping[str, Any], field: str) -> Iterator[Problem]:
    yield from _check_mode(source.get("defaultMode"), f"{field}.defaultMode")
    for index, item in enumerate(source.get("items") or ()):
        at = f"{field}.items[{index}]"
        if not item.get("key"):
            yield wording.required(f"{at}.key")
        yield from _check_file(item, at)


def _check_downward(source: Mapping[str, Any], field: str) -> Iterator[Problem]:
    for index, item in enumerate(source.get("items") or ()):
        at = f"{field}.items[{index}]"
        yield from _check_file(item, at)
        reference = item.get("fieldRef")
        if reference is None and item.get("resourceFieldRef") is None:
            yield wording.required(at, "one of fieldRef and resourceFieldRef is required")
        path = (reference or {}).get("fieldPath") or ""
        if reference is not None and not path:
            yield wording.required(f"{at}.fieldRef.fieldPath")
        elif (
            path
            and path not in _FILE_FIELDS
            and not path.startswith(("metadata.labels['", "metadata.annotations['"))
        ):
            yield wording.unsupported(f"{at}.fieldRef.fieldPath", path, _FILE_FIELDS)


def _check_file(item: Mapping[str, Any], field: str) -> Iterator[Problem]:
    """Where a key or a downward field becomes a file of the volume."""
    path = item.get("path") or ""
    if not path:
        yield wording.required(f"{field}.path")
    elif path.startswith(".."):
        yield wording.invalid(f"{field}.path", path, "must not start with '..'")
    else:
        yield from check_inner_path(path, f"{field}.path")
    yield from _check_mode(item.get("mode"), f"{field}.mode")


def _check_mode(mode: int | None, field: str) -> Iterator[Problem]:
    if mode is not None and not 0 <= mode <= FILE_MODE_MAX:
        yield wording.invalid(field, mode, "must be a number between 0 and 0777 (octal), both inclusive")
