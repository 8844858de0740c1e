"""The security contexts of a pod and of a container, their shapes and rules (core/v1, API reference 1.35).

What an engine cannot give is refused by the node with the reason, never run weaker. Source of the rules: Kubernetes,
pkg/apis/core/validation.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NotRequired, TypedDict

from gitops.kinds import wording
from gitops.kinds.kind import Problem

PROFILE_TYPES: Final = ("Localhost", "RuntimeDefault", "Unconfined")
_CHANGE_POLICIES: Final = ("OnRootMismatch", "Always")
_GROUP_POLICIES: Final = ("Merge", "Strict")
_PROC_MOUNTS: Final = ("Default", "Unmasked")


class SeccompProfile(TypedDict):
    type: Literal["Localhost", "RuntimeDefault", "Unconfined"]
    localhostProfile: NotRequired[str]  # Below `seccomp/` of the node's data directory.


class AppArmorProfile(TypedDict):
    type: Literal["Localhost", "RuntimeDefault", "Unconfined"]
    localhostProfile: NotRequired[str]  # The name of a profile that is loaded on the node.


class Capabilities(TypedDict):
    add: NotRequired[list[str]]
    drop: NotRequired[list[str]]


class SecurityContext(TypedDict):
    """A container's; what it leaves out comes from the pod's."""

    privileged: NotRequired[bool]
    runAsUser: NotRequired[int]
    runAsGroup: NotRequired[int]
    runAsNonRoot: NotRequired[bool]
    readOnlyRootFilesystem: NotRequired[bool]
    allowPrivilegeEscalation: NotRequired[bool]
    capabilities: NotRequired[Capabilities]
    seccompProfile: NotRequired[SeccompProfile]
    appArmorProfile: NotRequired[AppArmorProfile]
    procMount: NotRequired[Literal["Default", "Unmasked"]]


class Sysctl(TypedDict):
    name: str
    value: str


class PodSecurityContext(TypedDict):
    runAsUser: NotRequired[int]
    runAsGroup: NotRequired[int]
    runAsNonRoot: NotRequired[bool]
    fsGroup: NotRequired[int]
    fsGroupChangePolicy: NotRequired[Literal["OnRootMismatch", "Always"]]
    supplementalGroups: NotRequired[list[int]]
    supplementalGroupsPolicy: NotRequired[Literal["Merge", "Strict"]]
    seccompProfile: NotRequired[SeccompProfile]
    appArmorProfile: NotRequired[AppArmorProfile]
    sysctls: NotRequired[list[Sysctl]]


def check_securities(spec: Mapping[str, Any], field: str) -> Iterator[Problem]:
    """Every broken rule of the security of a pod and of its containers."""
    yield from _check_pod(spec.get("securityContext") or PodSecurityContext(), f"{field}.securityContext")
    for group in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(group) or ()):
            at, context = f"{field}.{group}[{index}]", container.get("securityContext") or SecurityContext()
            yield from _check_container(
                context, f"{at}.securityContext", host_users=spec.get("hostUsers") is not False
            )
            for place, mount in enumerate(container.get("volumeMounts") or ()):
                if mount.get("mountPropagation") == "Bidirectional" and not context.get("privileged"):
                    why = "Bidirectional mount propagation is available only to privileged containers"
                    yield wording.forbidden(f"{at}.volumeMounts[{place}].mountPropagation", why)


def _check_container(context: SecurityContext, field: str, *, host_users: bool) -> Iterator[Problem]:
    yield from wording.not_negative(f"{field}.runAsUser", context.get("runAsUser"))
    yield from wording.not_negative(f"{field}.runAsGroup", context.get("runAsGroup"))
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            yield wording.invalid(field, "", why)
        added = (context.get("capabilities") or {}).get("add") or ()
        if "SYS_ADMIN" in added or "CAP_SYS_ADMIN" in added:
            why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            yield wording.invalid(field, "", why)
    if proc_mount := context.get("procMount"):
        yield from wording.one_of(f"{field}.procMount", proc_mount, _PROC_MOUNTS)
        if proc_mount == "Unmasked" and host_users:
            yield wording.invalid(
                f"{field}.procMount", proc_mount, "`hostUsers` must be false to use `Unmasked`"
            )
    yield from _check_profiles(context, field)


def _check_pod(context: PodSecurityContext, field: str) -> Iterator[Problem]:
    for name in ("runAsUser", "runAsGroup", "fsGroup"):
        value: int | None = _raw(context).get(name)
        yield from wording.not_negative(f"{field}.{name}", value)
    for index, group in enumerate(context.get("supplementalGroups") or ()):
        yield from wording.not_negative(f"{field}.supplementalGroups[{index}]", group)
    for name, values in (
        ("fsGroupChangePolicy", _CHANGE_POLICIES),
        ("supplementalGroupsPolicy", _GROUP_POLICIES),
    ):
        if value := _raw(context).get(name):
            yield from wording.one_of(f"{field}.{name}", value, values)
    yield from _check_profiles(context, field)


def _check_profiles(context: SecurityContext | PodSecurityContext, field: str) -> Iterator[Problem]:
    for name in ("seccompProfile", "appArmorProfile"):
        profile: Mapping[str, Any] | None = _raw(context).get(name)
        if profile is None:
            continue
        at, kind = f"{field}.{name}", profile.get("type") or ""
        yield from wording.one_of(f"{at}.type", kind, PROFILE_TYPES)
        path = profile.get("localhostProfile")
        if kind == "Localhost":
            if not path:
                why = "must be set when type is Localhost"
                yield wording.required(f"{at}.localhostProfile", why)
            elif name == "seccompProfile" and (path.startswith("/") or ".." in path.split("/")):
                why = "must be a relative path" if path.startswith("/") else "must not contain '..'"
                yield wording.invalid(f"{at}.localhostProfile", path, why)
        elif path is not None:
            yield wording.invalid(f"{at}.localhostProfile", path, "can only be set when type is Localhost")


def _raw(value: object) -> Mapping[str, Any]:
    """A TypedDict as the JSON map that it is, for fields that are looked up by name."""
    assert isinstance(value, Mapping)
    return value
