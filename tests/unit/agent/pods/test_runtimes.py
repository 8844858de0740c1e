"""A pod's runtime class on its node: which of the engine's runtimes it gets, and what it waits for."""

import asyncio
from typing import Any

from agent.probes.checks import SimulatedChecks
from agent.runtime.docker_requests import container_body, sandbox_body
from agent.runtime.fake import READY_AFTER, FakeRuntime
from agent.runtime.protocol import ContainerSpec, SandboxSpec
from gitops.kinds.core.pod import is_ready
from tests.agent_world import Api, a_pod, running_node
from tests.unit.agent.pods.test_worker import APP, now, run

CLASS: Any = {"kind": "RuntimeClass", "metadata": {"name": "gvisor"}, "handler": "runsc"}


async def told(api: Api, reason: str) -> str:
    async with asyncio.timeout(10):
        while not (found := [message for _, why, message in api.events if why == reason]):
            await asyncio.sleep(0.02)
    return found[0]


def test_a_pod_waits_for_a_runtime_that_its_node_has_not_and_runs_once_it_is_registered() -> None:
    async def scenario(runtime: FakeRuntime, api: Api) -> None:
        runtime.runtimes = {"runc"}
        await api.put_object(CLASS)
        async with running_node(runtime, SimulatedChecks(now, READY_AFTER), api) as node:
            api.put(a_pod(containers=[APP], runtimeClassName="gvisor"))
            why = await told(api, "FailedCreatePodSandBox")

            assert why.startswith(
                "Failed to create pod sandbox: failed to get sandbox runtime: "
                'no runtime for "runsc" is configured: register it under "runtimes" in Docker\'s daemon.json on node n1'
            )
            assert runtime.containers == {}
            runtime.runtimes.add("runsc")
            await node.until("uid-web", is_ready)

    run(scenario)


def test_a_class_that_is_gone_is_waited_for() -> None:
    async def scenario(runtime: FakeRuntime, api: Api) -> None:
        async with running_node(runtime, SimulatedChecks(now, READY_AFTER), api) as node:
            api.put(a_pod(containers=[APP], runtimeClassName="gvisor"))
            why = await told(api, "FailedCreatePodSandBox")

            assert why == 'Failed to create pod sandbox: runtimeclasses.node.k8s.io "gvisor" not found'
            await api.put_object(CLASS)
            await node.until("uid-web", is_ready)

    run(scenario)


def test_docker_is_asked_for_the_runtime_of_sandbox_and_containers() -> None:
    sandbox = sandbox_body("c1", SandboxSpec("u1", "web", "shop", "web", runtime="runsc"), "pause")
    spec = ContainerSpec("u1", "web", "shop", "app", 0, "shop:1")

    assert sandbox["HostConfig"]["Runtime"] == "runsc"
    assert sandbox["Labels"]["io.gitward.runtime"] == "runsc"
    assert container_body("c1", spec, "sandbox", runtime="runsc")["HostConfig"]["Runtime"] == "runsc"
    assert "Runtime" not in container_body("c1", spec, "sandbox")["HostConfig"]
