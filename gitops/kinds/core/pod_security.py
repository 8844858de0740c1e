"""The Pod Security Standards: what a pod asks for that a level does not allow. Pure, on completed specifications.

Source: kubernetes.io, "Pod Security Standards" (1.35), and k8s.io/pod-security-admission/policy for the words.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

from gitops.kinds.core.pod_admission import APPARMOR
from gitops.kinds.core.pod_types import PodSpec
from gitops.kinds.lately import Lately


class Level(StrEnum):
    PRIVILEGED = "privileged"
    BASELINE = "baseline"
    RESTRICTED = "restricted"


_ORDER: Final = (Level.PRIVILEGED, Level.BASELINE, Level.RESTRICTED)
_GROUPS: Final = ("initContainers", "containers", "ephemeralContainers")
_CAPABILITIES: Final = (
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
)  # fmt: skip
_SELINUX_TYPES: Final = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
_SYSCTLS: Final = (
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
)  # fmt: skip
_VOLUMES: Final = frozenset((
    "name", "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
))  # fmt: skip
_SECCOMP: Final = ("RuntimeDefault", "Localhost")


def stricter(one: Level, other: Level) -> Level:
    return max(one, other, key=_ORDER.index)


def violations(level: Level, spec: PodSpec, annotations: Mapping[str, str]) -> Iterator[str]:
    """What stands against a level, each as `host namespaces (hostNetwork=true)`. Containers of every sort count."""
    if level is Level.PRIVILEGED:
        return iter(())
    if any(name.startswith(APPARMOR) for name in annotations):
        return _violations(level, _mapping(spec), annotations)
    return iter(_OF_SPEC[level](_mapping(spec)))


def _violations(level: Level, pod: Mapping[str, Any], annotations: Mapping[str, str]) -> Iterator[str]:
    yield from _of_pod(pod, annotations)
    for name, container in _containers(pod):
        yield from _of_container(f'container "{name}"', container)
    if level is Level.RESTRICTED:
        yield from _restricted_volumes(pod)
        for name, container in _containers(pod):
            yield from _restricted(f'container "{name}"', container, _mapping(pod.get("securityContext")))


# Of pods that annotations say nothing of.
_OF_SPEC: Final = {
    Level.BASELINE: Lately(lambda spec: tuple(_violations(Level.BASELINE, spec, {})), but="nodeName"),
    Level.RESTRICTED: Lately(lambda spec: tuple(_violations(Level.RESTRICTED, spec, {})), but="nodeName"),
}


def _of_pod(pod: Mapping[str, Any], annotations: Mapping[str, str]) -> Iterator[str]:
    host = [f"{field}=true" for field in ("hostNetwork", "hostPID", "hostIPC") if pod.get(field)]
    if host:
        yield f"host namespaces ({', '.join(host)})"
    for volume in pod.get("volumes") or ():
        if volume.get("hostPath") is not None:
            yield f'hostPath volumes (volume "{volume.get("name")}")'
    context = _mapping(pod.get("securityContext"))
    yield from _of_context("pod", context)
    for sysctl in context.get("sysctls") or ():
        if sysctl.get("name") not in _SYSCTLS:
            yield f"forbidden sysctls ({sysctl.get('name')})"
    for name, profile in annotations.items():
        if name.startswith(APPARMOR) and not (
            profile in ("", "runtime/default") or profile.startswith("localhost/")
        ):
            yield f'forbidden AppArmor profile ({name}="{profile}")'


def _of_container(at: str, container: Mapping[str, Any]) -> Iterator[str]:
    context = _mapping(container.get("securityContext"))
    if context.get("privileged"):
        yield f"privileged ({at} must not set securityContext.privileged=true)"
    added = [
        one for one in _mapping(context.get("capabilities")).get("add") or () if one not in _CAPABILITIES
    ]
    if added:
        yield f"non-default capabilities ({at} must not include {_quoted(added)} in securityContext.capabilities.add)"
    if (context.get("procMount") or "Default") != "Default":
        yield f'procMount ({at} must not set securityContext.procMount to "{context["procMount"]}")'
    yield from _of_context(at, context)
    ports = [str(port["hostPort"]) for port in container.get("ports") or () if port.get("hostPort")]
    if ports:
        yield f"hostPort ({at} uses hostPort {', '.join(ports)})"
    hooks = [container.get(name) for name in ("livenessProbe", "readinessProbe", "startupProbe")]
    hooks += [_mapping(container.get("lifecycle")).get(name) for name in ("postStart", "preStop")]
    for hook in hooks:
        for action in ("httpGet", "tcpSocket"):
            if host := _mapping(_mapping(hook).get(action)).get("host"):
                yield f'probe or lifecycle host ({at} must not set a host: "{host}")'


def _of_context(at: str, context: Mapping[str, Any]) -> Iterator[str]:
    """What a pod's and a container's security context have in common."""
    if _mapping(context.get("windowsOptions")).get("hostProcess"):
        yield f"hostProcess ({at} must not set securityContext.windowsOptions.hostProcess=true)"
    apparmor = _mapping(context.get("appArmorProfile")).get("type")
    if apparmor == "Unconfined":
        yield f"forbidden AppArmor profile ({at} must not set appArmorProfile.type=Unconfined)"
    selinux = _mapping(context.get("seLinuxOptions"))
    if (selinux.get("type") or "") not in _SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
        yield f"seLinuxOptions ({at} set forbidden securityContext.seLinuxOptions)"
    if _mapping(context.get("seccompProfile")).get("type") == "Unconfined":
        yield f'seccompProfile ({at} must not set securityContext.seccompProfile.type to "Unconfined")'


def _restricted_volumes(pod: Mapping[str, Any]) -> Iterator[str]:
    for volume in pod.get("volumes") or ():
        if kinds := sorted(volume.keys() - _VOLUMES - {"hostPath"}):
            yield f'restricted volume types (volume "{volume.get("name")}" uses {_quoted(kinds)})'


def _restricted(at: str, container: Mapping[str, Any], pod: Mapping[str, Any]) -> Iterator[str]:
    own = _mapping(container.get("securityContext"))
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"allowPrivilegeEscalation != false ({at} must set securityContext.allowPrivilegeEscalation=false)"
    capabilities = _mapping(own.get("capabilities"))
    if "ALL" not in (capabilities.get("drop") or ()):
        yield f'unrestricted capabilities ({at} must set securityContext.capabilities.drop=["ALL"])'
    if added := [one for one in capabilities.get("add") or () if one != "NET_BIND_SERVICE"]:
        yield f"unrestricted capabilities ({at} must not include {_quoted(added)} in securityContext.capabilities.add)"
    if not own.get("runAsNonRoot", pod.get("runAsNonRoot")):
        yield f"runAsNonRoot != true (pod or {at} must set securityContext.runAsNonRoot=true)"
    if own.get("runAsUser", pod.get("runAsUser")) == 0:
        yield f"runAsUser=0 (pod or {at} must not set runAsUser=0)"
    profile = _mapping(own.get("seccompProfile") or pod.get("seccompProfile")).get("type")
    if profile not in _SECCOMP:
        wanted = 'to "RuntimeDefault" or "Localhost"'
        yield f"seccompProfile (pod or {at} must set securityContext.seccompProfile.type {wanted})"


def _containers(pod: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for group in _GROUPS:
        for container in pod.get(group) or ():
            yield container.get("name", ""), container


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _quoted(texts: list[str]) -> str:
    return ", ".join(f'"{text}"' for text in texts)
