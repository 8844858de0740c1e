"""The Pod Security Standards as a table: each control, what breaks it, and the lowest level that refuses it."""

from typing import Any

import pytest

from gitops.kinds.core.pod_security import Level, violations

SAFE: dict[str, Any] = {
    "name": "web",
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
}


def container(**context: Any) -> dict[str, Any]:
    return {"containers": [{**SAFE, "securityContext": {**SAFE["securityContext"], **context}}]}


BASELINE: dict[str, tuple[dict[str, Any], str]] = {
    "the host's network": ({"hostNetwork": True}, "host namespaces (hostNetwork=true)"),
    "its processes and IPC": (
        {"hostPID": True, "hostIPC": True},
        "host namespaces (hostPID=true, hostIPC=true)",
    ),
    "a privileged container": (
        container(privileged=True),
        'privileged (container "web" must not set securityContext.privileged=true)',
    ),
    "a privileged init container": (
        {"initContainers": [{"name": "init", "securityContext": {"privileged": True}}]},
        'privileged (container "init" must not set securityContext.privileged=true)',
    ),
    "a privileged ephemeral container": (
        {"ephemeralContainers": [{"name": "debug", "securityContext": {"privileged": True}}]},
        'privileged (container "debug" must not set securityContext.privileged=true)',
    ),
    "a capability": (
        container(capabilities={"add": ["SYS_ADMIN", "CHOWN"], "drop": ["ALL"]}),
        'non-default capabilities (container "web" must not include "SYS_ADMIN" in securityContext.capabilities.add)',
    ),
    "all capabilities": (
        container(capabilities={"add": ["ALL"]}),
        'non-default capabilities (container "web" must not include "ALL" in securityContext.capabilities.add)',
    ),
    "a path of the host": (
        {"volumes": [{"name": "root", "hostPath": {"path": "/"}}]},
        'hostPath volumes (volume "root")',
    ),
    "a port of the host": (
        {"containers": [{**SAFE, "ports": [{"containerPort": 80, "hostPort": 80}]}]},
        'hostPort (container "web" uses hostPort 80)',
    ),
    "a probe of another host": (
        {"containers": [{**SAFE, "livenessProbe": {"httpGet": {"host": "169.254.169.254", "port": 80}}}]},
        'probe or lifecycle host (container "web" must not set a host: "169.254.169.254")',
    ),
    "a hook of another host": (
        {"containers": [{**SAFE, "lifecycle": {"preStop": {"tcpSocket": {"host": "db", "port": 80}}}}]},
        'probe or lifecycle host (container "web" must not set a host: "db")',
    ),
    "no AppArmor": (
        {"securityContext": {"appArmorProfile": {"type": "Unconfined"}}},
        "forbidden AppArmor profile (pod must not set appArmorProfile.type=Unconfined)",
    ),
    "an SELinux type": (
        container(seLinuxOptions={"type": "spc_t"}),
        'seLinuxOptions (container "web" set forbidden securityContext.seLinuxOptions)',
    ),
    "an SELinux user": (
        {"securityContext": {"seLinuxOptions": {"user": "system_u"}}},
        "seLinuxOptions (pod set forbidden securityContext.seLinuxOptions)",
    ),
    "an open /proc": (
        container(procMount="Unmasked"),
        'procMount (container "web" must not set securityContext.procMount to "Unmasked")',
    ),
    "no seccomp": (
        {"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
        'seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")',
    ),
    "a sysctl": (
        {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}},
        "forbidden sysctls (kernel.msgmax)",
    ),
    "a process of a Windows host": (
        {"securityContext": {"windowsOptions": {"hostProcess": True}}},
        "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)",
    ),
}


def told(level: Level, spec: dict[str, Any], annotations: dict[str, str] | None = None) -> list[str]:
    whole: Any = {"containers": [SAFE], **spec}
    return list(violations(level, whole, annotations or {}))


@pytest.mark.parametrize(("spec", "message"), BASELINE.values(), ids=BASELINE.keys())
def test_what_baseline_refuses_restricted_refuses_too_and_privileged_does_not(
    spec: dict[str, Any], message: str
) -> None:
    assert told(Level.PRIVILEGED, spec) == []
    assert told(Level.BASELINE, spec) == [message]
    assert message in told(Level.RESTRICTED, spec)


ALLOWED: dict[str, dict[str, Any]] = {
    "nothing": {},
    "capabilities that Docker gives anyway": container(capabilities={"add": ["CHOWN", "NET_BIND_SERVICE"]}),
    "a safe sysctl": {"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_rmem", "value": "1 2 3"}]}},
    "root": container(runAsUser=0, runAsNonRoot=False),
    "a port of its own": {"containers": [{**SAFE, "ports": [{"containerPort": 80, "hostPort": 0}]}]},
    "a container's SELinux type": container(seLinuxOptions={"type": "container_t", "level": "s0:c1"}),
    "a volume of another sort": {"volumes": [{"name": "n", "nfs": {"server": "s", "path": "/"}}]},
}


@pytest.mark.parametrize("spec", ALLOWED.values(), ids=ALLOWED.keys())
def test_what_baseline_allows(spec: dict[str, Any]) -> None:
    assert told(Level.BASELINE, spec) == []


RESTRICTED: dict[str, tuple[dict[str, Any], str]] = {
    "a volume of another sort": (
        {"volumes": [{"name": "n", "nfs": {"server": "s", "path": "/"}}]},
        'restricted volume types (volume "n" uses "nfs")',
    ),
    "privilege escalation": (
        container(allowPrivilegeEscalation=True),
        'allowPrivilegeEscalation != false (container "web" must set securityContext.allowPrivilegeEscalation=false)',
    ),
    "capabilities not dropped": (
        container(capabilities={"drop": ["CHOWN"]}),
        'unrestricted capabilities (container "web" must set securityContext.capabilities.drop=["ALL"])',
    ),
    "a capability added": (
        container(capabilities={"drop": ["ALL"], "add": ["CHOWN", "NET_BIND_SERVICE"]}),
        'unrestricted capabilities (container "web" must not include "CHOWN" in securityContext.capabilities.add)',
    ),
    "a user that may be root": (
        container(runAsNonRoot=False),
        'runAsNonRoot != true (pod or container "web" must set securityContext.runAsNonRoot=true)',
    ),
    "root": (container(runAsUser=0), 'runAsUser=0 (pod or container "web" must not set runAsUser=0)'),
    "a seccomp profile that is not said": (
        container(seccompProfile=None),
        'seccompProfile (pod or container "web" must set securityContext.seccompProfile.type to "RuntimeDefault" or '
        '"Localhost")',
    ),
}


@pytest.mark.parametrize(("spec", "message"), RESTRICTED.values(), ids=RESTRICTED.keys())
def test_what_only_restricted_refuses(spec: dict[str, Any], message: str) -> None:
    assert told(Level.BASELINE, spec) == []
    assert told(Level.RESTRICTED, spec) == [message]


def test_restricted_takes_a_pods_own_settings_for_its_containers() -> None:
    bare = {
        "name": "web",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    context = {"runAsNonRoot": True, "seccompProfile": {"type": "Localhost", "localhostProfile": "x"}}

    assert told(Level.RESTRICTED, {"containers": [bare], "securityContext": context}) == []


def test_an_annotation_of_apparmor_counts() -> None:
    name = "container.apparmor.security.beta.kubernetes.io/web"

    assert told(Level.BASELINE, {}, {name: "runtime/default"}) == []
    assert told(Level.BASELINE, {}, {name: "unconfined"}) == [
        f'forbidden AppArmor profile ({name}="unconfined")'
    ]
