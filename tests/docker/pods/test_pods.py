"""What a pod's manifest means, as seen from inside its containers and in its status, on a real engine."""

import asyncio
from base64 import b64encode

import pytest
from docker.api.client import APIClient

from gitops.kinds.core.pod import Container, is_ready, pod_phase, pod_status
from tests.agent_world import a_pod
from tests.docker.engine import IMAGE
from tests.docker.pods.conftest import Host
from tests.docker.pods.inside import FOREVER, Play, container, inside, logs, restarts, status_of


def test_containers_share_one_localhost_and_a_volume(play: Play) -> None:
    async def scenario(host: Host) -> None:
        mount = [{"name": "work", "mountPath": "/shared"}]
        writer = container("writer", f"echo hello > /shared/index.html; {FOREVER}", volumeMounts=mount)
        server = container("app", f"httpd -p 8080 -h /shared; {FOREVER}", volumeMounts=mount)
        async with host.agent() as node:
            host.api.put(a_pod(containers=[writer, server], volumes=[{"name": "work", "emptyDir": {}}]))
            pod = await node.until("uid-web", is_ready)

            assert await inside(node, "uid-web", "wget -q -O - http://127.0.0.1:8080/", "writer") == "hello"
            assert [s["name"] for s in pod_status(pod)["containerStatuses"]] == ["writer", "app"]
            assert pod_status(pod)["podIP"] == "10.77.1.2"

    play(scenario)


def test_init_containers_run_in_order_before_the_others(play: Play) -> None:
    async def scenario(host: Host) -> None:
        mount = [{"name": "work", "mountPath": "/shared"}]
        inits = [
            container("first", "echo one >> /shared/log", volumeMounts=mount),
            container("second", "echo two >> /shared/log", volumeMounts=mount),
        ]
        app = container("app", f"cat /shared/log; {FOREVER}", volumeMounts=mount)
        async with host.agent() as node:
            host.api.put(
                a_pod(initContainers=inits, containers=[app], volumes=[{"name": "work", "emptyDir": {}}])
            )
            pod = await node.until("uid-web", is_ready)

            assert await logs(node, "uid-web") == "one\ntwo\n"
            assert status_of(pod, "first")["state"]["terminated"]["reason"] == "Completed"

    play(scenario)


def test_environment_hosts_and_names_are_kubernetes(play: Play) -> None:
    async def scenario(host: Host) -> None:
        await host.api.put_object(
            {"kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"colour": "red"}}
        )
        password = {"password": b64encode(b"pass word").decode()}
        await host.api.put_object({"kind": "Secret", "metadata": {"name": "login"}, "data": password})
        env = [
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}},
            {"name": "BOTH", "value": "$(POD) $(C_colour) $(NONE) $$(POD)"},
        ]
        app = container(
            "app", FOREVER, env=env, envFrom=[{"prefix": "C_", "configMapRef": {"name": "settings"}}]
        )
        async with host.agent() as node:
            host.api.put(a_pod(containers=[app]))
            await node.until("uid-web", is_ready)

            assert await inside(node, "uid-web", 'echo "$BOTH|$PASSWORD|$IP"') == (
                "web red $(NONE) $(POD)|pass word|10.77.1.2"
            )
            assert await inside(node, "uid-web", "hostname") == "web"
            assert "10.77.1.2\tweb" in await inside(node, "uid-web", "cat /etc/hosts")
            assert await inside(node, "uid-web", "cat /etc/resolv.conf") == (
                "search shop.svc.cluster.local svc.cluster.local cluster.local example.org\n"
                "nameserver 10.78.0.10\noptions ndots:5"
            )

    play(scenario)


def test_an_update_of_a_config_map_is_seen_inside_the_running_container(play: Play) -> None:
    async def scenario(host: Host) -> None:
        config = {"kind": "ConfigMap", "metadata": {"name": "settings"}}
        await host.api.put_object({**config, "data": {"colour": "red"}})
        await host.api.put_object(
            {"kind": "Secret", "metadata": {"name": "login"}, "data": {"token": "c2VjcmV0"}}
        )
        volumes = [
            {"name": "config", "configMap": {"name": "settings"}},
            {"name": "secret", "secret": {"secretName": "login", "defaultMode": 0o400}},
            {
                "name": "me",
                "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]},
            },
        ]
        mounts = [
            {"name": "config", "mountPath": "/config"},
            {"name": "secret", "mountPath": "/secret"},
            {"name": "me", "mountPath": "/me"},
            {"name": "config", "mountPath": "/one/colour", "subPath": "colour"},
        ]
        async with host.agent() as node:
            host.api.put(a_pod(containers=[container("app", FOREVER, volumeMounts=mounts)], volumes=volumes))
            await node.until("uid-web", is_ready)
            assert await inside(
                node, "uid-web", "cat /config/colour /one/colour /secret/token /me/labels"
            ) == ('redredsecretapp="web"')
            assert await inside(node, "uid-web", "stat -L -c %a /secret/token") == "400"
            assert " /secret tmpfs " in await inside(node, "uid-web", "cat /proc/mounts")

            await host.api.put_object({**config, "data": {"colour": "blue", "shape": "round"}})
            async with asyncio.timeout(2):
                while await inside(node, "uid-web", "cat /config/colour") != "blue":
                    await asyncio.sleep(0.05)
            assert await inside(node, "uid-web", "cat /config/shape /one/colour") == "roundred"
            assert restarts(host.api.pods["uid-web"]) == 0

    play(scenario)


def test_a_container_that_fails_is_restarted_at_once_then_backs_off(play: Play) -> None:
    async def scenario(host: Host) -> None:
        async with host.agent() as node:
            host.api.put(a_pod(containers=[container("app", "exit 3")]))
            pod = await node.until(
                "uid-web", lambda pod: restarts(pod) == 1 and "waiting" in status_of(pod)["state"], seconds=8
            )

            waiting = status_of(pod)["state"]["waiting"]
            assert waiting["reason"] == "CrashLoopBackOff"
            assert waiting["message"] == (
                "back-off 10s restarting failed container=app pod=web_shop(uid-web)"
            )
            assert status_of(pod)["lastState"]["terminated"]["exitCode"] == 3
            message = "Back-off restarting failed container app in pod web_shop(uid-web)"
            assert ("web", "BackOff", message) in host.api.events
            assert pod_phase(pod) == "Running"

    play(scenario)


def test_a_pod_that_never_restarts_succeeds_or_fails(play: Play) -> None:
    async def scenario(host: Host) -> None:
        async with host.agent() as node:
            host.api.put(a_pod("good", restartPolicy="Never", containers=[container("app", "exit 0")]))
            host.api.put(a_pod("bad", restartPolicy="Never", containers=[container("app", "exit 4")]))
            host.api.put(
                a_pod(
                    "wrong",
                    restartPolicy="Never",
                    containers=[{**container("app", ""), "command": ["/none"]}],
                )
            )
            good = await node.until("uid-good", lambda pod: pod_phase(pod) == "Succeeded")
            bad = await node.until("uid-bad", lambda pod: pod_phase(pod) == "Failed")
            wrong = await node.until("uid-wrong", lambda pod: pod_phase(pod) == "Failed")

            assert status_of(good)["state"]["terminated"]["reason"] == "Completed"
            assert status_of(bad)["state"]["terminated"]["exitCode"] == 4
            assert status_of(wrong)["state"]["terminated"]["reason"] == "StartError"
            assert "no such file" in status_of(wrong)["state"]["terminated"]["message"]

    play(scenario)


def test_probes_gate_readiness_and_restart(play: Play) -> None:
    async def scenario(host: Host) -> None:
        readiness = {"httpGet": {"port": "http", "path": "/ok"}, "periodSeconds": 1}
        liveness = {
            "exec": {"command": ["test", "!", "-e", "/tmp/sick"]},
            "periodSeconds": 1,
            "failureThreshold": 1,
        }
        app = container(
            "app",
            f"mkdir -p /tmp/www; httpd -p 8080 -h /tmp/www; {FOREVER}",
            ports=[{"name": "http", "containerPort": 8080}],
            readinessProbe=readiness,
            livenessProbe=liveness,
        )
        async with host.agent() as node:
            host.api.put(a_pod(containers=[app]))
            pod = await node.until("uid-web", lambda pod: pod_phase(pod) == "Running")
            assert not is_ready(pod)

            await inside(node, "uid-web", "touch /tmp/www/ok")
            await node.until("uid-web", is_ready)
            await inside(node, "uid-web", "touch /tmp/sick")
            pod = await node.until("uid-web", lambda pod: restarts(pod) == 1)

            assert any(reason == "Unhealthy" for _, reason, _ in host.api.events)
            assert any("failed liveness probe" in message for _, _, message in host.api.events)

    play(scenario)


def test_a_deleted_pod_ends_gracefully_and_leaves_nothing(play: Play) -> None:
    async def scenario(host: Host) -> None:
        mounts = [{"name": "out", "mountPath": "/out"}]
        volumes = [
            {"name": "out", "hostPath": {"path": str(host.home / "out"), "type": "DirectoryOrCreate"}},
            {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        ]
        script = "trap 'echo bye > /out/last; exit 0' TERM; while :; do sleep 0.1; done"
        app = {"name": "app", "image": IMAGE, "command": ["sh", "-c", script], "volumeMounts": mounts}
        async with host.agent() as node:
            host.api.put(a_pod(containers=[app], volumes=volumes))
            await node.until("uid-web", is_ready)
            await asyncio.sleep(0.3)
            host.api.ask_delete("uid-web")
            await node.until_gone("uid-web")

            assert (host.home / "out" / "last").read_text() == "bye\n"
            assert host.api.statuses[-1][1]["phase"] == "Succeeded"
            assert not (host.home / "pods" / "uid-web").exists()
            assert (await node.means.runtime.states()) == []

    play(scenario)


def test_a_process_that_ignores_sigterm_is_killed_when_its_grace_is_over(play: Play) -> None:
    async def scenario(host: Host) -> None:
        app = {"name": "app", "image": IMAGE, "command": ["sh", "-c", f"trap '' TERM; {FOREVER}"]}
        async with host.agent() as node:
            host.api.put(a_pod(containers=[app], terminationGracePeriodSeconds=2))
            await node.until("uid-web", is_ready)
            host.api.ask_delete("uid-web")
            await node.until_gone("uid-web", seconds=8)

            ended = host.api.statuses[-1][1]["containerStatuses"][0]["state"]["terminated"]
            assert ended["exitCode"] == 137

    play(scenario)


def test_killing_the_agent_restarts_nothing_and_its_successor_takes_over(play: Play) -> None:
    async def scenario(host: Host) -> None:
        probe = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
        app = container("app", f"httpd -p 8080; {FOREVER}", readinessProbe=probe)
        async with host.agent() as node:
            host.api.put(a_pod(containers=[app]))
            await node.until("uid-web", is_ready)
            before = await node.means.runtime.states()
        written = len(host.api.statuses)
        async with host.agent() as node:
            await asyncio.sleep(2.5)
            after = await node.means.runtime.states()

            assert sorted(before) == sorted(after)
            assert len(host.api.statuses) == written
            host.api.ask_delete("uid-web")
            await node.until_gone("uid-web")

    play(scenario)


def test_a_changed_image_restarts_that_container_alone(play: Play) -> None:
    async def scenario(host: Host) -> None:
        async with host.agent() as node:
            pod = host.api.put(a_pod(containers=[container("app", FOREVER), container("side", FOREVER)]))
            await node.until("uid-web", is_ready)
            other = IMAGE.rpartition(":")[0]
            APIClient(base_url=host.docker_host, version="1.41").tag(IMAGE, other, "2")
            first, second = pod["spec"]["containers"]
            newer: Container = {**first, "image": f"{other}:2"}
            host.api.put({**pod, "spec": {**pod["spec"], "containers": [newer, second]}})
            pod = await node.until("uid-web", lambda pod: is_ready(pod) and restarts(pod) == 1)

            assert restarts(pod, "side") == 0

    play(scenario)


def test_a_lost_sandbox_is_made_anew_with_its_containers(play: Play) -> None:
    async def scenario(host: Host) -> None:
        async with host.agent() as node:
            host.api.put(a_pod(containers=[container("app", FOREVER)]))
            await node.until("uid-web", is_ready)
            sandbox = next(s for s in await node.means.runtime.states() if s.container == "POD")
            await node.means.runtime.remove(sandbox.id)
            pod = await node.until("uid-web", lambda pod: is_ready(pod) and restarts(pod) == 1)

            assert pod_status(pod)["podIP"] == "10.77.1.2"

    play(scenario)


def test_an_exec_that_takes_too_long_is_killed(play: Play) -> None:
    async def scenario(host: Host) -> None:
        async with host.agent() as node:
            host.api.put(a_pod(containers=[container("app", FOREVER)]))
            await node.until("uid-web", is_ready)
            app = next(s for s in await node.means.runtime.states() if s.container == "app")
            with pytest.raises(TimeoutError):
                await node.means.runtime.exec(app.id, ("sleep", "987"), timeout_seconds=0.5)

            async with asyncio.timeout(5):
                while "sleep 987" in await inside(node, "uid-web", "ps"):
                    await asyncio.sleep(0.1)

    play(scenario)


def test_an_engine_that_restarts_gets_its_pods_again(play: Play) -> None:
    """As after a reboot: all containers ended with the engine."""

    async def scenario(host: Host) -> None:
        async with host.agent() as node:
            host.api.put(a_pod(containers=[container("app", FOREVER), container("side", FOREVER)]))
            await node.until("uid-web", is_ready)
        killing = APIClient(base_url=host.docker_host, version="1.41")
        for state in await (runtime := await host.runtime()).states():
            killing.kill(state.id)
        await runtime.close()
        async with host.agent() as node:
            pod = await node.until("uid-web", lambda pod: is_ready(pod) and restarts(pod) == 1)

            assert restarts(pod, "side") == 1
            assert pod_status(pod)["podIP"] == "10.77.1.2"

    play(scenario)
