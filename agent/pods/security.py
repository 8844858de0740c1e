"""How far a container is confined, in the engine's terms. What this engine cannot give is refused, never run weaker.

The engine's own seccomp profile is kept where Kubernetes would run unconfined. Pure, but for `read_profile`.
Source: kubernetes/pkg/kubelet/kuberuntime (`security_context`) and pkg/securitycontext.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from agent.runtime.protocol import EngineInfo, Mount, Security
from gitops.kinds.core.pod import Container, PodSpec, SecurityContext
from gitops.kinds.errors import Invalid

PROFILE_MAX_BYTES: Final = 1 << 20
RECURSIVE_API_VERSION: Final = (1, 44)
UNCONFINED: Final = "unconfined"


class Confinement(NamedTuple):
    """What the node's engine can confine by. `profile`: the text of a seccomp profile by its name; raises Invalid."""

    seccomp: bool = True
    seccomp_default: bool = True  # Its own profile is one, and not `unconfined`.
    apparmor: bool = False
    user_namespaces: bool = False
    recursive_read_only: bool = False  # Docker 25 and later.
    profile: Callable[[str], str] = lambda name: read_profile(Path("/nonexistent"), name)


def confinement(engine: EngineInfo, profiles: Path) -> Confinement:
    """`profiles`: the folder of this node's own seccomp profiles."""
    split = (option.removeprefix("name=").split(",") for option in engine.security)
    found = {part[0]: part[1:] for part in split}
    api_version = tuple(int(part) for part in engine.api_version.split("."))
    return Confinement(
        seccomp="seccomp" in found,
        seccomp_default="seccomp" in found and f"profile={UNCONFINED}" not in found["seccomp"],
        apparmor="apparmor" in found,
        user_namespaces="userns" in found,
        recursive_read_only=api_version >= RECURSIVE_API_VERSION,
        profile=lambda name: read_profile(profiles, name),
    )


def read_profile(folder: Path, name: str) -> str:
    """A seccomp profile that an operator has put on the node. One that confines nothing is none. Raises Invalid."""
    path = folder / name
    if Path(name).is_absolute() or ".." in path.parts:
        raise Invalid(f"seccomp profile: found {name!r}, wanted a relative path without '..'")
    try:
        with path.open("rb") as file:
            text = file.read(PROFILE_MAX_BYTES + 1)
    except OSError as error:
        raise Invalid(f'cannot load seccomp profile "{path}": {error.strerror}') from error
    try:
        profile: Any = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Invalid(f'cannot load seccomp profile "{path}": it is no JSON: {error}') from error
    action = profile.get("defaultAction") if isinstance(profile, dict) else None
    if not isinstance(action, str) or not action.startswith("SCMP_ACT_"):
        raise Invalid(f'cannot load seccomp profile "{path}": it has no defaultAction')
    if action == "SCMP_ACT_ALLOW" and not profile.get("syscalls"):
        raise Invalid(f'cannot load seccomp profile "{path}": it is empty: it allows everything')
    return text.decode()


def sandbox_refusal(spec: PodSpec, host: Confinement) -> str:
    """Why the node cannot make this pod's sandbox as it asks; '' if it can."""
    if spec.get("hostUsers", True) or host.user_namespaces:
        return ""
    return (
        "hostUsers: false needs user namespaces, and this node's engine has none: start dockerd with "
        "--userns-remap, or leave hostUsers out"
    )


def needs_image_user(spec: PodSpec, container: Container) -> bool:
    """Whether the image's own user decides as whom, or whether, it may run."""
    own, pod = container.get("securityContext") or SecurityContext(), spec.get("securityContext", {})
    group = own.get("runAsGroup", pod.get("runAsGroup"))
    user = own.get("runAsUser", pod.get("runAsUser"))
    return user is None and (group is not None or own.get("runAsNonRoot", pod.get("runAsNonRoot", False)))


def security_of(spec: PodSpec, container: Container, host: Confinement, image_user: str = "") -> Security:
    """A container's security context over its pod's. Raises Invalid for what the engine cannot give."""
    own, pod = container.get("securityContext") or SecurityContext(), spec.get("securityContext", {})
    user, group = own.get("runAsUser", pod.get("runAsUser")), own.get("runAsGroup", pod.get("runAsGroup"))
    groups = [*pod.get("supplementalGroups", ()), *([pod["fsGroup"]] if "fsGroup" in pod else ())]
    if pod.get("supplementalGroupsPolicy") == "Strict" and group is None:
        raise Invalid(
            "supplementalGroupsPolicy Strict needs runAsGroup on this engine: without one it adds the groups "
            "that the image's /etc/group has for the user"
        )
    capabilities = own.get("capabilities") or {}
    return Security(
        user=_user(user, group, image_user),
        groups=tuple(str(one) for one in groups),
        privileged=own.get("privileged", False),
        read_only_root=own.get("readOnlyRootFilesystem", False),
        no_new_privileges=not own.get("allowPrivilegeEscalation", True),
        capabilities_add=tuple(capabilities.get("add", ())),
        capabilities_drop=tuple(capabilities.get("drop", ())),
        seccomp=_seccomp(spec, own, host),
        apparmor=_apparmor(spec, own, host),
        unmasked_proc=own.get("procMount") == "Unmasked",
    )


def mounts_of(container: Container, found: tuple[Mount, ...], host: Confinement) -> tuple[Mount, ...]:
    """The mounts with what is read-only to its depth. Raises Invalid where the engine cannot hold to that."""
    asked = [one for one in container.get("volumeMounts", ()) if one.get("recursiveReadOnly") == "Enabled"]
    if asked and not host.recursive_read_only:
        raise Invalid(
            f"volumeMount {asked[0]['name']}: recursiveReadOnly Enabled needs Docker 25 or later on the node"
        )
    targets = {one["mountPath"] for one in asked}
    return tuple(one._replace(recursive=one.target in targets) for one in found)


def _seccomp(spec: PodSpec, own: SecurityContext, host: Confinement) -> str:
    profile = own.get("seccompProfile") or spec.get("securityContext", {}).get("seccompProfile")
    if profile is None:
        return ""
    if profile["type"] == "Unconfined":
        return UNCONFINED
    if not host.seccomp:
        raise Invalid(f"seccompProfile {profile['type']}: this node's engine has no seccomp")
    if profile["type"] == "Localhost":
        return host.profile(profile.get("localhostProfile", ""))
    if not host.seccomp_default:
        raise Invalid(
            "seccompProfile RuntimeDefault: this node's engine has `unconfined` as its default profile"
        )
    return ""


def _apparmor(spec: PodSpec, own: SecurityContext, host: Confinement) -> str:
    profile = own.get("appArmorProfile") or spec.get("securityContext", {}).get("appArmorProfile")
    if profile is None:
        return ""
    if profile["type"] == "Unconfined":
        return UNCONFINED if host.apparmor else ""
    if not host.apparmor:
        raise Invalid("Cannot enforce AppArmor: AppArmor is not enabled on the host")
    if profile["type"] != "Localhost":
        return ""
    name = profile.get("localhostProfile", "")
    if name in ("", UNCONFINED):  # To the engine these are no profiles, but its default and none at all.
        raise Invalid(f"appArmorProfile Localhost: found {name!r}, wanted the name of a profile on the node")
    return name


def _user(user: int | None, group: int | None, image_user: str) -> str:
    """Without a user of its own a container runs as its image's, whatever its group."""
    if user is None:
        return "" if group is None else f"{image_user.partition(':')[0] or '0'}:{group}"
    return str(user) if group is None else f"{user}:{group}"


def runs_as_root(spec: PodSpec, container: Container, image_user: str) -> str:
    """Why a container that must not be root may not start with this image; '' if it may. In the kubelet's words."""
    own, pod = container.get("securityContext") or SecurityContext(), spec.get("securityContext", {})
    if not own.get("runAsNonRoot", pod.get("runAsNonRoot", False)):
        return ""
    user = own.get("runAsUser", pod.get("runAsUser"))
    if user is not None:
        return "container's runAsUser breaks non-root policy" if user == 0 else ""
    name = image_user.partition(":")[0]
    if name in ("", "0", "root") or (name.isdigit() and int(name) == 0):
        return "container has runAsNonRoot and image will run as root"
    if not name.isdigit():
        return f"container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root"
    return ""
