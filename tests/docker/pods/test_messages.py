"""The last words of containers, as Kubernetes documents them, on a real engine."""

from typing import Any

from gitops.kinds.core.pod import Pod, is_ready, pod_phase
from tests.agent_world import a_pod
from tests.docker.pods.conftest import Host
from tests.docker.pods.inside import FOREVER, Play, container, restarts, status_of

FALLBACK: dict[str, Any] = {"terminationMessagePolicy": "FallbackToLogsOnError"}


def words(pod: Pod, name: str = "app") -> str:
    return status_of(pod, name)["state"]["terminated"].get("message", "")


def test_what_a_container_writes_to_its_message_file_is_told(play: Play) -> None:
    async def scenario(host: Host) -> None:
        containers = [
            container("app", "echo to the log; printf 'out of tea' > /dev/termination-log; exit 1"),
            container("own", "printf mine > /tmp/last; exit 0", terminationMessagePath="/tmp/last"),
            container("long", "yes abcdefg | head -n 1000 > /dev/termination-log"),
            container("silent", "echo nothing; exit 1"),
            container(
                "anybody", "printf 'uid 1000' > /dev/termination-log", securityContext={"runAsUser": 1000}
            ),
        ]
        async with host.agent() as node:
            host.api.put(a_pod(restartPolicy="Never", containers=containers))
            pod = await node.until("uid-web", lambda pod: pod_phase(pod) == "Failed")

            assert (words(pod), words(pod, "own"), words(pod, "silent")) == ("out of tea", "mine", "")
            assert words(pod, "anybody") == "uid 1000"
            # The end of the file, 4096 bytes; of the 12 KiB of the pod each of the five gets a fifth.
            assert len(words(pod, "long")) == 2457
            before = host.api.pods["uid-web"]
        async with host.agent() as node:
            await node.until("uid-web", lambda pod: pod_phase(pod) == "Failed")
            assert host.api.pods["uid-web"] == before

    play(scenario)


def test_the_end_of_the_output_speaks_only_for_a_failure_without_a_message(play: Play) -> None:
    async def scenario(host: Host) -> None:
        containers = [
            container("app", "seq 200; exit 3", **FALLBACK),
            container("told", "echo log; printf told > /dev/termination-log; exit 3", **FALLBACK),
            container("well", "echo log; exit 0", **FALLBACK),
        ]
        async with host.agent() as node:
            host.api.put(a_pod(restartPolicy="Never", containers=containers))
            pod = await node.until("uid-web", lambda pod: pod_phase(pod) == "Failed")

            assert words(pod).splitlines() == [str(number) for number in range(121, 201)]
            assert (words(pod, "told"), words(pod, "well")) == ("told", "")

    play(scenario)


def test_a_restarted_container_keeps_its_last_words_and_gets_an_empty_file(play: Play) -> None:
    async def scenario(host: Host) -> None:
        script = "test -s /dev/termination-log && exit 9; printf first > /dev/termination-log; test -e /out/1"
        mounts = [{"name": "out", "mountPath": "/out"}]
        app = container("app", f"{script} || {{ touch /out/1; exit 1; }}; {FOREVER}", volumeMounts=mounts)
        async with host.agent() as node:
            host.api.put(a_pod(containers=[app], volumes=[{"name": "out", "emptyDir": {}}]))
            pod = await node.until("uid-web", lambda pod: is_ready(pod) and restarts(pod) == 1)

            ended = status_of(pod)["lastState"]["terminated"]
            assert (ended["exitCode"], ended["message"]) == (1, "first")
            host.api.ask_delete("uid-web")
            await node.until_gone("uid-web")

    play(scenario)
