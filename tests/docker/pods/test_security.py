"""What a security context means, as the kernel tells it inside; and what is refused instead of run weaker."""

from typing import Any

import orjson
import pytest

from gitops.kinds.core.pod import Pod, is_ready, pod_status
from tests.agent_world import a_pod
from tests.docker.pods.conftest import Host
from tests.docker.pods.inside import FOREVER, Play, container, inside, status_of

STATUS = "cat /proc/self/status"
NO_MKDIR = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
}

SEEN = {
    "nothing: the engine's own profile": ({}, ("Seccomp:\t2", "NoNewPrivs:\t0", "CapEff:\t00000000a80425fb")),
    "RuntimeDefault": ({"seccompProfile": {"type": "RuntimeDefault"}}, ("Seccomp:\t2",)),
    "Unconfined": ({"seccompProfile": {"type": "Unconfined"}}, ("Seccomp:\t0",)),
    "no escalation": ({"allowPrivilegeEscalation": False}, ("NoNewPrivs:\t1",)),
    "all capabilities dropped but one": (
        {"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}},
        ("CapEff:\t0000000000000400", "CapBnd:\t0000000000000400"),
    ),
    "a capability with its prefix": (
        {"capabilities": {"drop": ["ALL"], "add": ["CAP_CHOWN"]}},
        ("CapEff:\t0000000000000001",),
    ),
    "user and group": ({"runAsUser": 1000, "runAsGroup": 3000}, ("Uid:\t1000\t1000", "Gid:\t3000\t3000")),
    "group alone": ({"runAsGroup": 3000}, ("Uid:\t0\t0", "Gid:\t3000\t3000")),
}


@pytest.mark.parametrize("case", SEEN.values(), ids=SEEN.keys())
def test_what_a_container_may(play: Play, case: tuple[dict[str, Any], tuple[str, ...]]) -> None:
    context, wanted = case

    async def scenario(host: Host) -> None:
        async with host.agent() as node:
            host.api.put(a_pod(containers=[container("app", FOREVER, securityContext=context)]))
            await node.until("uid-web", is_ready)
            told = await inside(node, "uid-web", STATUS)
            for line in wanted:
                assert f"{line}" in told

    play(scenario)


def test_pod_wide_groups_and_a_read_only_root(play: Play) -> None:
    async def scenario(host: Host) -> None:
        mount = [{"name": "work", "mountPath": "/scratch"}]
        app = container("app", FOREVER, volumeMounts=mount, securityContext={"readOnlyRootFilesystem": True})
        async with host.agent() as node:
            host.api.put(
                a_pod(
                    containers=[app],
                    volumes=[{"name": "work", "emptyDir": {}}],
                    securityContext={"runAsUser": 7, "fsGroup": 2000, "supplementalGroups": [3000]},
                )
            )
            await node.until("uid-web", is_ready)

            groups = await inside(node, "uid-web", "id -G")
            assert {"2000", "3000"} <= set(groups.split())
            assert "Read-only file system" in await inside(node, "uid-web", "touch /file 2>&1")
            assert await inside(
                node, "uid-web", "touch /scratch/a && stat -c %u:%g:%a /scratch/a /scratch"
            ) == ("7:2000:644\n0:2000:2777")

    play(scenario)


def test_a_local_seccomp_profile_holds_and_one_that_is_missing_fails_closed(play: Play) -> None:
    def confined(name: str, profile: str) -> Pod:
        context = {"seccompProfile": {"type": "Localhost", "localhostProfile": profile}}
        return a_pod(name, containers=[container("app", FOREVER, securityContext=context)])

    async def scenario(host: Host) -> None:
        profiles = host.home / "seccomp"
        profiles.mkdir()
        (profiles / "no-mkdir.json").write_bytes(orjson.dumps(NO_MKDIR))
        (profiles / "empty.json").write_text("{}")
        async with host.agent() as node:
            host.api.put(confined("web", "no-mkdir.json"))
            host.api.put(confined("empty", "empty.json"))
            host.api.put(confined("late", "late.json"))
            await node.until("uid-web", is_ready)
            assert "Operation not permitted" in await inside(node, "uid-web", "mkdir /new 2>&1")

            pod = await node.until("uid-empty", waits)
            assert "it has no defaultAction" in waiting(pod)["message"]
            pod = await node.until("uid-late", waits)
            assert waiting(pod)["reason"] == "CreateContainerConfigError"
            assert f'cannot load seccomp profile "{profiles}/late.json"' in waiting(pod)["message"]
            assert any(
                reason == "Failed" and "late.json" in message
                for name, reason, message in host.api.events
                if name == "late"
            )

            (profiles / "late.json").write_bytes(orjson.dumps(NO_MKDIR))
            await node.until("uid-late", is_ready)

    play(scenario)


REFUSED = {
    "AppArmor": ({"appArmorProfile": {"type": "RuntimeDefault"}}, {}, "AppArmor is not enabled"),
    "root": ({"runAsNonRoot": True}, {}, "image will run as root"),
    "recursive": (
        {},
        {"readOnly": True, "recursiveReadOnly": "Enabled"},
        "recursiveReadOnly Enabled needs Docker 25",
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_what_this_engine_cannot_give_waits_with_the_reason(
    play: Play, case: tuple[dict[str, Any], dict[str, Any], str]
) -> None:
    context, mount, why = case

    async def scenario(host: Host) -> None:
        mounts = [{"name": "work", "mountPath": "/scratch", **mount}]
        app = container("app", FOREVER, securityContext=context, volumeMounts=mounts)
        async with host.agent() as node:
            host.api.put(a_pod(containers=[app], volumes=[{"name": "work", "emptyDir": {}}]))
            if node.means.node.confinement.apparmor and "AppArmor" in why:
                pytest.skip("this host has AppArmor")
            if node.means.node.confinement.recursive_read_only and "recursive" in why:
                pytest.skip("this engine can")
            pod = await node.until("uid-web", waits)

            assert waiting(pod)["reason"] == "CreateContainerConfigError"
            assert why in waiting(pod)["message"]

    play(scenario)


def test_user_namespaces_are_refused_before_anything_runs(play: Play) -> None:
    async def scenario(host: Host) -> None:
        async with host.agent() as node:
            host.api.put(a_pod(containers=[container("app", FOREVER)], hostUsers=False))
            await node.until("uid-web", lambda _: bool(host.api.events))

            assert host.api.events[0][1] == "FailedCreatePodSandBox"
            assert "hostUsers: false needs user namespaces" in host.api.events[0][2]
            assert await node.means.runtime.states("uid-web") == []

    play(scenario)


def waits(pod: Pod) -> bool:
    known = pod_status(pod).get("containerStatuses", [])
    return bool(known) and status_of(pod)["state"].get("waiting", {}).get("reason") not in (
        None,
        "ContainerCreating",
    )


def waiting(pod: Pod) -> dict[str, Any]:
    return dict(status_of(pod)["state"]["waiting"])
