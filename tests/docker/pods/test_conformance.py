"""What conformance looks at, as a table: paths in volumes, modes, init containers, ends; inside and in the status."""

import asyncio
from typing import Any

from docker.api.client import APIClient

from gitops.kinds.core.pod import Pod, is_ready, pod_phase, pod_status
from gitops.kinds.objects import with_meta
from tests.agent_world import Node, a_pod
from tests.docker.engine import IMAGE
from tests.docker.pods.conftest import Host
from tests.docker.pods.inside import FOREVER, Play, container, inside, restarts, status_of
from tests.docker.pods.rows import Row, app, differing

WORK = [{"name": "work", "emptyDir": {}}]
ENDED = ("Succeeded", "Failed")


def why_waiting(pod: Pod) -> str:
    waiting = status_of(pod)["state"].get("waiting", {})
    return f"{waiting.get('reason')}: {waiting.get('message')}"


def is_refused(pod: Pod) -> bool:
    return "containerStatuses" in pod_status(pod) and why_waiting(pod).startswith("CreateContainerConfig")


def has_ended(pod: Pod) -> bool:
    return pod_phase(pod) in ENDED


def condition(pod: Pod, name: str) -> tuple[str | None, ...]:
    found = next(one for one in pod_status(pod)["conditions"] if one["type"] == name)
    return found["status"], found.get("reason"), found.get("message")


def below(expression: str, value: str) -> dict[str, Any]:
    """A mount whose place in its volume is told by a variable."""
    mounts = [{"name": "work", "mountPath": "/scratch", "subPathExpr": expression}]
    return {**app(env=[{"name": "PLACE", "value": value}], volumeMounts=mounts), "volumes": WORK}


def mounting(source: dict[str, Any], **spec: Any) -> dict[str, Any]:
    mounts = [{"name": "v", "mountPath": "/v"}]
    return {**app(volumeMounts=mounts), "volumes": [{"name": "v", **source}], **spec}


def ending(script: str, policy: str = "Never", **spec: Any) -> dict[str, Any]:
    return {"containers": [container("app", script)], "restartPolicy": policy, **spec}


def first_failing(policy: str) -> dict[str, Any]:
    inits = [container("one", "exit 1"), container("two", "exit 0")]
    return {**app(), "initContainers": inits, "restartPolicy": policy}


ITEMS = [{"key": "name", "path": "deep/name", "mode": 0o400}]
FIELD = {"fieldRef": {"fieldPath": "metadata.labels"}}
ROWS = {
    "a place in a volume by a variable": Row(
        below("$(PLACE)", "a/b"), "touch /scratch/here && test -e /scratch/here && echo yes", "yes"
    ),
    "a place whose variable is none": Row(
        below("$(NONE)", ""),
        until=is_refused,
        status=lambda pod: why_waiting(pod).startswith("CreateContainerConfigError: "),
        told=True,
    ),
    "an absolute place": Row(
        below("$(PLACE)", "/etc"),
        until=is_refused,
        status=lambda pod: why_waiting(pod).startswith("CreateContainerConfigError: "),
        told=True,
    ),
    "a place outside": Row(
        below("$(PLACE)", "../up"),
        until=is_refused,
        status=lambda pod: why_waiting(pod).startswith("CreateContainerConfigError: "),
        told=True,
    ),
    "root where it may not be": Row(
        app(securityContext={"runAsNonRoot": True}),
        until=is_refused,
        status=lambda pod: why_waiting(pod).partition(" (pod")[0],
        told="CreateContainerConfigError: container has runAsNonRoot and image will run as root",
    ),
    "an emptyDir is everybody's": Row(mounting({"emptyDir": {}}), "stat -c %a /v", "777"),
    "an emptyDir in memory": Row(
        mounting({"emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}}),
        "while read a b c d; do test $b != /v || echo $c; done < /proc/mounts; stat -c %a /v",
        "tmpfs\n777",
    ),
    "a mode for all files": Row(
        mounting({"configMap": {"name": "names", "defaultMode": 0o440}}),
        "stat -L -c %a /v/name; readlink /v/name; cat /v/name",
        "440\n..data/name\nshop",
    ),
    "a mode of one file, in a folder": Row(
        mounting({"configMap": {"name": "names", "items": ITEMS}}),
        "stat -L -c %a /v/deep/name; ls /v",
        "400\ndeep",
    ),
    "the pod's group reads what only its owner would": Row(
        mounting({"secret": {"secretName": "login", "defaultMode": 0o400}}, securityContext={"fsGroup": 2000}),
        "stat -L -c %a:%g /v/password",
        "440:2000",
    ),
    "an optional source that is absent": Row(
        mounting({"secret": {"secretName": "absent", "optional": True}}), "ls /v; echo empty", "empty"
    ),
    "labels as a file": Row(
        mounting({"downwardAPI": {"items": [{"path": "labels", **FIELD}]}}), "cat /v/labels", 'app="row-11"'
    ),
    "several sources in one folder": Row(
        mounting(
            {
                "projected": {
                    "sources": [
                        {"configMap": {"name": "names"}},
                        {"secret": {"name": "login"}},
                        {"downwardAPI": {"items": [{"path": "labels", **FIELD}]}},
                    ]
                }
            }
        ),
        "ls /v",
        "labels\nname\npassword",
    ),
    "an init container that fails for good": Row(
        first_failing("Never"),
        until=has_ended,
        status=lambda pod: (pod_phase(pod), condition(pod, "Initialized"), why_waiting(pod)),
        told=(
            "Failed",
            ("False", "ContainersNotInitialized", "containers with incomplete status: [one two]"),
            "PodInitializing: None",
        ),
    ),
    "one that fails again and again": Row(
        first_failing("Always"),
        until=lambda pod: "initContainerStatuses" in pod_status(pod) and status_of(pod, "one")["restartCount"] >= 1,
        status=lambda pod: (pod_phase(pod), condition(pod, "Initialized"), why_waiting(pod)),
        told=(
            "Pending",
            ("False", "ContainersNotInitialized", "containers with incomplete status: [one two]"),
            "PodInitializing: None",
        ),
    ),
    "a pod that has done its work": Row(
        ending("exit 0"),
        until=lambda pod: pod_phase(pod) == "Succeeded",
        status=lambda pod: (
            condition(pod, "Ready"),
            condition(pod, "ContainersReady"),
            condition(pod, "Initialized"),
            status_of(pod)["state"]["terminated"]["reason"],
        ),
        told=(
            ("False", "PodCompleted", None),
            ("False", "PodCompleted", None),
            ("True", "PodCompleted", None),
            "Completed",
        ),
    ),
    "a pod that has failed": Row(
        ending("exit 3", "Never"),
        until=lambda pod: pod_phase(pod) == "Failed",
        status=lambda pod: (
            condition(pod, "Ready"),
            condition(pod, "ContainersReady"),
            status_of(pod)["state"]["terminated"]["exitCode"],
            status_of(pod)["state"]["terminated"]["reason"],
        ),
        told=(("False", "PodFailed", None), ("False", "PodFailed", None), 3, "Error"),
    ),
    "more memory than its pod may have": Row(
        {**ending("x=$(yes)"), "resources": {"limits": {"memory": "16Mi"}}},
        until=lambda pod: pod_phase(pod) == "Failed",
        status=lambda pod: (status_of(pod)["state"]["terminated"]["reason"], pod_status(pod)["qosClass"]),
        told=("OOMKilled", "Burstable"),
    ),
    "equal limits and requests": Row(
        app(resources={"limits": {"cpu": "100m", "memory": "32Mi"}}),
        until=is_ready,
        status=lambda pod: (
            pod_status(pod)["qosClass"],
            status_of(pod)["started"],
            status_of(pod)["containerID"].startswith("docker://"),
            status_of(pod)["imageID"].startswith("sha256:"),
            pod_status(pod)["observedGeneration"],
            status_of(pod)["allocatedResources"],
        ),
        told=("Guaranteed", True, True, True, 1, {"cpu": "100m", "memory": "32Mi"}),
    ),
}  # fmt: skip


def test_what_conformance_looks_at(play: Play) -> None:
    async def scenario(host: Host) -> None:
        await host.api.put_object(
            {"kind": "ConfigMap", "metadata": {"name": "names"}, "data": {"name": "shop"}}
        )
        await host.api.put_object(
            {"kind": "Secret", "metadata": {"name": "login"}, "data": {"password": "aHVzaA=="}}
        )
        async with host.agent() as node:
            assert await differing(host, node, ROWS) == {}

    play(scenario)


def test_a_place_that_could_not_be_told_recovers_when_the_annotation_is_put_right(play: Play) -> None:
    field = {"fieldRef": {"fieldPath": "metadata.annotations['place']"}}
    mounts = [{"name": "work", "mountPath": "/scratch", "subPathExpr": "$(PLACE)"}]
    app = container("app", FOREVER, env=[{"name": "PLACE", "valueFrom": field}], volumeMounts=mounts)

    async def scenario(host: Host) -> None:
        async with host.agent() as node:
            host.api.put(a_pod(containers=[app], volumes=WORK, annotations={"place": "/absolute"}))
            await node.until("uid-web", is_refused)
            host.api.put(with_meta(host.api.pods["uid-web"], annotations={"place": "inside"}))
            pod = await node.until("uid-web", is_ready)

            assert restarts(pod) == 0
            assert await inside(node, "uid-web", "stat -c %F /scratch") == "directory"

    play(scenario)


def test_a_key_that_is_taken_away_leaves_the_volume_and_one_that_comes_is_seen(play: Play) -> None:
    def names(**data: str) -> dict[str, Any]:
        return {"kind": "ConfigMap", "metadata": {"name": "later"}, "data": data}

    async def scenario(host: Host) -> None:
        spec = mounting({"configMap": {"name": "later", "optional": True}})
        async with host.agent() as node:
            host.api.put(a_pod(**spec))
            await node.until("uid-web", is_ready)
            assert await inside(node, "uid-web", "ls /v") == ""

            await host.api.put_object(names(a="1", b="2"))
            assert await eventually(node, "ls /v; cat /v/a", "a\nb\n1")
            await host.api.put_object(names(b="3"))
            assert await eventually(node, "ls /v; cat /v/b", "b\n3")

    play(scenario)


async def eventually(node: Node, script: str, wanted: str) -> bool:
    """Whether it is seen inside within ten seconds."""
    for _ in range(100):
        if await inside(node, "uid-web", script) == wanted:
            return True
        await asyncio.sleep(0.1)
    return False


COMMANDS = {
    "nothing: both of the image": ({}, "entry command"),
    "args: instead of the image's": ({"args": ["own"]}, "entry own"),
    "command: the image's arguments go too": ({"command": ["/bin/echo", "mine"]}, "mine"),
    "both": ({"command": ["/bin/echo", "mine"], "args": ["own"]}, "mine own"),
}


def test_whose_command_and_arguments_are_run(play: Play) -> None:
    async def scenario(host: Host) -> None:
        image = with_entry(host.docker_host)
        async with host.agent() as node:
            said = {}
            for number, (name, (fields, _)) in enumerate(COMMANDS.items()):
                one = {"name": "app", "image": image, **fields}
                host.api.put(a_pod(f"c{number}", containers=[one], restartPolicy="Never"))
                await node.until(f"uid-c{number}", has_ended)
                states = await node.means.runtime.states(f"uid-c{number}")
                ended = next(one for one in states if one.container == "app")
                chunks = node.means.runtime.logs(
                    ended.id, follow=False, tail_lines=None, since=None, timestamps=False
                )
                said[name] = b"".join([chunk async for chunk in chunks]).decode().strip()

        assert said == {name: wanted for name, (_, wanted) in COMMANDS.items()}

    play(scenario)


def with_entry(docker_host: str) -> str:
    """The tests' image with a command of its own."""
    client = APIClient(base_url=docker_host, version="1.41", timeout=60)
    made = client.create_container(IMAGE, command=["true"])
    changes = ['ENTRYPOINT ["/bin/echo", "entry"]', 'CMD ["command"]']
    client.commit(made["Id"], repository="gitward.test/entry", tag="1", changes=changes)
    client.remove_container(made["Id"])
    client.close()
    return "gitward.test/entry:1"


def test_a_volume_that_cannot_be_mounted_is_told_and_nothing_runs_without_it(play: Play) -> None:
    async def scenario(host: Host) -> None:
        spec = mounting({"image": {"reference": "tools:1", "pullPolicy": "IfNotPresent"}})
        async with host.agent() as node:
            host.api.put(a_pod(**spec))
            await node.until("uid-web", lambda _: any(why == "FailedMount" for _, why, _ in host.api.events))

            said = next(message for _, why, message in host.api.events if why == "FailedMount")
            assert "a source of kind image cannot be mounted on this node" in said
            states = await node.means.runtime.states("uid-web")
            assert "app" not in {one.container for one in states}

    play(scenario)
