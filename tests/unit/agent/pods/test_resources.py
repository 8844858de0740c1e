"""QoS, limits, security, and what Docker is asked for."""

from typing import Any

import pytest

from agent.pods.credentials import registry_of
from agent.pods.resources import beyond_pod, limits_of
from agent.runtime.docker_requests import container_body, oom_score_min, sandbox_body
from agent.runtime.protocol import ContainerSpec, Limits, Mount, SandboxSpec, Security
from agent.volumes.persistent import nfs_mount
from gitops.kinds.core.pod import qos_class
from tests.agent_world import a_pod


def with_resources(**resources: Any) -> Any:
    return a_pod(containers=[{"name": "app", "image": "shop:1", "resources": resources}])


BOTH = {"cpu": "500m", "memory": "64Mi"}


@pytest.mark.parametrize(
    ("resources", "qos", "limits"),
    [
        ({}, "BestEffort", Limits(oom_score_adj=1000)),
        ({"limits": BOTH}, "Guaranteed", Limits(64 << 20, 500_000_000, 512, oom_score_adj=-997)),
        (
            {"limits": BOTH, "requests": BOTH},
            "Guaranteed",
            Limits(64 << 20, 500_000_000, 512, oom_score_adj=-997),
        ),
        ({"requests": {"memory": "1Gi"}}, "Burstable", Limits(oom_score_adj=750)),
        ({"requests": {"cpu": "2"}}, "Burstable", Limits(cpu_shares=2048, oom_score_adj=999)),
    ],
)
def test_resources(resources: dict[str, Any], qos: str, limits: Limits) -> None:
    pod = with_resources(**resources)

    assert qos_class(pod) == qos
    assert limits_of(pod, pod["spec"]["containers"][0], 4 << 30) == limits


WHOLE = {"limits": {"cpu": "1", "memory": "64Mi"}}


def a_container(name: str = "app", **resources: Any) -> dict[str, Any]:
    return {"name": name, "image": "shop:1", "resources": resources}


def test_a_container_without_limits_is_held_to_its_pods() -> None:
    pod = a_pod(containers=[a_container(limits={"cpu": "500m"})], resources=WHOLE)

    limits = limits_of(pod, pod["spec"]["containers"][0], 1 << 30)

    assert (limits.memory_bytes, limits.cpu_nano, limits.cpu_shares) == (64 << 20, 500_000_000, 512)
    # Its part of what the pod requests, of the node's memory.
    assert limits.oom_score_adj == 1000 - 1000 * 64 // 1024


TOGETHER: dict[str, tuple[dict[str, Any], bool]] = {
    "one container": ({"containers": [a_container()]}, True),
    "two without limits": ({"containers": [a_container(), a_container("other")]}, False),
    "two that share": (
        {
            "containers": [
                a_container(limits={"cpu": "500m", "memory": "24Mi"}),
                a_container("other", limits={"cpu": "500m", "memory": "40Mi"}),
            ]
        },
        True,
    ),
    "one after the other": ({"containers": [a_container()], "initContainers": [a_container("first")]}, True),
    "a sidecar beside it": (
        {
            "containers": [a_container()],
            "initContainers": [{**a_container("side"), "restartPolicy": "Always"}],
        },
        False,
    ),
}


@pytest.mark.parametrize("case", TOGETHER.values(), ids=TOGETHER.keys())
def test_what_the_engine_cannot_hold_together_is_refused(case: tuple[dict[str, Any], bool]) -> None:
    spec, kept = case

    why = beyond_pod(a_pod(**spec, resources=WHOLE))

    assert (why == "") is kept
    assert kept or why.startswith(
        "spec.resources.limits[cpu] is 1, and the limits of its containers together"
    )
    assert beyond_pod(a_pod(**spec)) == ""


def test_as_many_processes_as_the_operator_says() -> None:
    pod = a_pod(containers=[{"name": "app", "image": "shop:1"}])

    assert limits_of(pod, pod["spec"]["containers"][0], 1 << 30).pids_max == 4096
    assert limits_of(pod, pod["spec"]["containers"][0], 1 << 30, 64).pids_max == 64


def test_what_docker_is_asked_for() -> None:
    spec = ContainerSpec(
        "u1",
        "web",
        "shop",
        "app",
        2,
        "shop:1",
        command=("run",),
        env=(("A", "1"),),
        mounts=(Mount("/host", "/data", True),),
        limits=Limits(memory_bytes=1024),
    )

    body = container_body("c1", spec, "sandbox")

    assert body["Entrypoint"] == ["run"]
    assert "Cmd" not in body
    assert body["Env"] == ["A=1"]
    assert body["HostConfig"]["NetworkMode"] == "container:sandbox"
    assert body["HostConfig"]["MemorySwap"] == 1024
    assert body["HostConfig"]["RestartPolicy"] == {"Name": "no"}
    assert body["HostConfig"]["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "5"}
    assert body["HostConfig"]["Mounts"] == [
        {"Type": "bind", "Source": "/host", "Target": "/data", "ReadOnly": True}
    ]
    assert body["Labels"] == {
        "io.gitward.cluster": "c1",
        "io.gitward.pod-uid": "u1",
        "io.gitward.pod-name": "web",
        "io.gitward.pod-namespace": "shop",
        "io.gitward.container": "app",
        "io.gitward.attempt": "2",
        "io.gitward.image": "shop:1",
        "io.gitward.sandbox": "sandbox",
    }


def test_confinement_in_dockers_words() -> None:
    security = Security(seccomp='{"defaultAction":"SCMP_ACT_ERRNO"}', apparmor="shop", unmasked_proc=True)
    mounts = (Mount("/host", "/data", read_only=True, recursive=True),)
    spec = ContainerSpec("u1", "web", "shop", "app", 0, "shop:1", mounts=mounts, security=security)

    host = container_body("c1", spec, "sandbox")["HostConfig"]

    assert host["SecurityOpt"] == ['seccomp={"defaultAction":"SCMP_ACT_ERRNO"}', "apparmor=shop"]
    assert host["MaskedPaths"] == host["ReadonlyPaths"] == []
    assert host["Mounts"][0]["BindOptions"] == {"ReadOnlyForceRecursive": True}


def test_a_share_is_a_volume_of_the_engines_local_driver_that_goes_with_its_container() -> None:
    share = nfs_mount(
        {"server": "files.example.org", "path": "/shop"}, "/data", read_only=True, options=("nfsvers=4.1",)
    )
    spec = ContainerSpec("u1", "web", "shop", "app", 0, "shop:1", mounts=(share,))

    assert container_body("c1", spec, "sandbox")["HostConfig"]["Mounts"] == [
        {
            "Type": "volume",
            "Target": "/data",
            "ReadOnly": True,
            "VolumeOptions": {
                "NoCopy": True,
                "DriverConfig": {
                    "Name": "local",
                    "Options": {
                        "type": "nfs",
                        "o": "addr=files.example.org,nfsvers=4.1,ro",
                        "device": ":/shop",
                    },
                },
            },
        }
    ]


def test_a_sandbox_has_no_network_of_dockers() -> None:
    body = sandbox_body("c1", SandboxSpec("u1", "web", "shop", "web"), "sha256:1")

    assert body["HostConfig"]["NetworkMode"] == "none"
    assert body["HostConfig"]["IpcMode"] == "shareable"
    assert body["Hostname"] == "web"
    assert "Hostname" not in sandbox_body(
        "c1", SandboxSpec("u1", "web", "shop", "web", host_network=True), ""
    )


def test_a_machine_without_the_capability_gets_no_negative_oom_score() -> None:
    assert oom_score_min("CapBnd:\t000001ffffffffff\n") == -1000
    assert oom_score_min("CapBnd:\t000001fffeffffff\n") == 0


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("busybox", "docker.io"),
        ("library/busybox:1", "docker.io"),
        ("registry.example.org/a/b:1", "registry.example.org"),
        ("localhost:5000/a", "localhost:5000"),
    ],
)
def test_the_registry_of_an_image(image: str, registry: str) -> None:
    assert registry_of(image) == registry
