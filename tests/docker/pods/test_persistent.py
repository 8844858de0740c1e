"""Claims on a real engine: what waits for its volume, and mounts that the engine makes itself."""

from typing import Any, cast

from agent.runtime.docker_requests import container_body
from agent.runtime.protocol import ContainerSpec, Mount
from gitops.kinds.core.pod import is_ready
from gitops.kinds.core.storage import PersistentVolume, default_volume
from tests.agent_world import a_pod
from tests.docker.engine import IMAGE
from tests.docker.pods.conftest import Host
from tests.docker.pods.inside import FOREVER, Play, container, inside


def a_volume(**source: Any) -> PersistentVolume:
    spec = {"claimRef": {"namespace": "shop", "name": "data", "uid": "1"}, **source}
    meta = {"name": "pv"}
    bare = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": meta,
        "spec": spec,
        "status": {"phase": "Bound"},
    }
    return default_volume(cast(PersistentVolume, bare))


def test_a_pod_waits_for_its_claim_and_its_data_outlives_it(play: Play) -> None:
    async def scenario(host: Host) -> None:
        mounts = [
            {"name": "data", "mountPath": "/data"},
            {"name": "data", "mountPath": "/mine", "subPath": "mine", "readOnly": True},
        ]
        volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]

        def user(name: str) -> Any:
            context = {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 2000}
            app = container("app", FOREVER, volumeMounts=mounts)
            return a_pod(name, containers=[app], volumes=volumes, securityContext=context)

        async with host.agent() as node:
            host.api.put(user("web"))
            await node.until("uid-web", lambda _: bool(host.api.events))
            assert host.api.events[0][1:] == (
                "FailedMount",
                'MountVolume.SetUp failed for volume "data" : persistentvolumeclaim "data" is not bound to a '
                "volume yet",
            )
            source = {"csi": {"driver": "gitward.io/local-path", "volumeHandle": "pvc-1"}}
            host.persistent.volumes["pv"] = a_volume(**source)
            await node.until("uid-web", is_ready)

            assert await inside(node, "uid-web", "stat -c %u:%g:%a /data") == "0:2000:2777"
            assert await inside(node, "uid-web", "echo kept > /data/mine/file; cat /mine/file") == "kept"
            assert "Read-only" in await inside(node, "uid-web", "touch /mine/other 2>&1")

            host.api.ask_delete("uid-web", 0)
            await node.until_gone("uid-web")
            host.api.put(user("other"))
            await node.until("uid-other", is_ready)
            assert await inside(node, "uid-other", "cat /data/mine/file") == "kept"

    play(scenario)


def test_a_volume_of_the_engines_local_driver_is_mounted_and_goes_with_its_container(play: Play) -> None:
    """As a share is; a tmpfs, since this machine has no NFS server."""

    async def scenario(host: Host) -> None:
        runtime = await host.runtime()
        options = (("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m"))
        spec = ContainerSpec(
            "u",
            "web",
            "shop",
            "app",
            0,
            IMAGE,
            ("sleep", "60"),
            mounts=(Mount("", "/data", options=options),),
        )
        body = container_body(host.cluster, spec, "none")
        body["HostConfig"] |= {"NetworkMode": "none", "IpcMode": "private"}
        client: Any = runtime._teller  # The engine itself is asked.
        made = client.create_container_from_config(body, "gitward-test-driver")["Id"]
        try:
            client.start(made)
            result = await runtime.exec(made, ("cat", "/proc/mounts"), timeout_seconds=10)
            assert " /data tmpfs rw" in result.output.decode()
            assert len(client.volumes()["Volumes"]) == 1
        finally:
            await runtime.remove(made)
        assert not client.volumes()["Volumes"]
        await runtime.close()

    play(scenario)
