"""What the machine's actions mean on this node: each one carried out, each repeatable, each failing with a reason.

A `Refused` bears the reason that Kubernetes gives in a waiting container's state.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Final, cast

from agent.pods.environment import World, environment
from agent.pods.hooks import run_hook
from agent.pods.means import Means
from agent.pods.names import host_ports, hosts_file, kernel_hostname, resolv_conf
from agent.pods.observed import Resize, Run, Stop
from agent.pods.pulling import ensure_image
from agent.pods.refused import Refused
from agent.pods.resources import beyond_pod, limits_of
from agent.pods.restarting import every_container
from agent.pods.runtimes import runtime_of
from agent.pods.security import mounts_of, needs_image_user, runs_as_root, sandbox_refusal, security_of
from agent.pods.simulation import labels_of_simulation
from agent.runtime.protocol import (
    LABEL_ADDRESS,
    LABEL_BACK_OFF,
    LABEL_HOST_PORTS,
    ContainerSpec,
    ContainerState,
    Phase,
    SandboxSpec,
    Security,
)
from agent.services.host_ports import to_label
from agent.volumes.expansion import expand_all
from agent.volumes.references import references
from gitops.kinds.core.pod import Container, EphemeralContainer, Pod
from gitops.kinds.errors import GitwardError, NotFound
from gitops.kinds.objects import uid

GRACE_LEFT_MIN_SECONDS: Final = 2.0  # What a process gets when its preStop hook has used up the grace.


async def ensure_sandbox(means: Means, pod: Pod) -> tuple[ContainerState, str]:
    """The sandbox and the pod's address, once it runs and is attached."""
    spec, meta = pod["spec"], pod["metadata"]
    on_host = spec.get("hostNetwork", False)
    if why := sandbox_refusal(spec, means.node.confinement) or beyond_pod(pod):
        raise Refused("FailedCreatePodSandBox", why)
    runtime = await runtime_of(means, pod)
    spare = means.spares.take(pod) if means.spares is not None else None
    address = means.node.address if on_host else means.addresses.take(uid(pod))
    ports = () if on_host else host_ports(pod, address)
    wanted = SandboxSpec(
        pod_uid=uid(pod),
        pod_name=meta.get("name", ""),
        pod_namespace=meta.get("namespace", ""),
        hostname=kernel_hostname(pod, means.node.names),
        host_network=on_host,
        host_ipc=spec.get("hostIPC", False),
        runtime=runtime,
        sysctls={one["name"]: one["value"] for one in spec.get("securityContext", {}).get("sysctls", ())},
        hosts=hosts_file(pod, address, means.node.names),
        resolv_conf=resolv_conf(pod, means.node.names),
        labels={LABEL_ADDRESS: address, **({LABEL_HOST_PORTS: to_label(ports)} if ports else {})},
    )
    with refusing("FailedCreatePodSandBox"):
        sandbox = await means.runtime.ensure_sandbox(wanted, spare=spare.id if spare is not None else "")
        if not on_host:
            await means.network.attach(sandbox.pid, address, uid(pod))
            await means.network.publish(uid(pod), ports)
    return sandbox, address


async def ensure_volumes(means: Means, pod: Pod) -> None:
    with refusing("FailedMount"):
        await means.sources.known(references(pod))
        await means.sources.tokens_ready(pod)
        await means.volumes.ensure(pod, means.sources, means.around(""))


async def run(means: Means, pod: Pod, action: Run, address: str) -> str:
    """One attempt of a container, started; its image pulled if need be; its postStart hook done. The id."""
    container = next(one for one in every_container(pod) if one["name"] == action.container)
    with refusing("CreateContainerConfigError"):
        await means.sources.known(references(pod))
        world = World(means.sources, means.services(), means.around(address))
        values = environment(pod, container, world)
        mounts = await means.volumes.mounts(pod, container, values, attempt=action.attempt)
        mounts = mounts_of(container, mounts, means.node.confinement)
    pulled = await ensure_image(means, pod, container)
    security = await _security(means, pod, container)
    simulation = labels_of_simulation(pod, container) if means.simulated else {}
    wanted = ContainerSpec(
        pod_uid=uid(pod),
        pod_name=pod["metadata"].get("name", ""),
        pod_namespace=pod["metadata"].get("namespace", ""),
        container=action.container,
        attempt=action.attempt,
        image=container["image"],
        command=expand_all(container.get("command", ()), values),
        args=expand_all(container.get("args", ()), values),
        env=tuple(values.items()),
        working_dir=container.get("workingDir", ""),
        mounts=mounts,
        limits=limits_of(pod, container, means.node.memory_bytes, means.node.pids_max),
        security=security,
        tty=container.get("tty", False),
        stop_signal=container.get("lifecycle", {}).get("stopSignal", ""),
        stdin=container.get("stdin", False),
        stdin_once=container.get("stdinOnce", False),
        host_pid=pod["spec"].get("hostPID", False),
        share_processes=pod["spec"].get("shareProcessNamespace", False),
        processes_of=await _processes_of(means, pod, container),
        labels={**simulation, LABEL_BACK_OFF: str(action.back_off_seconds)},
        hostname="" if pod["spec"].get("hostNetwork") else kernel_hostname(pod, means.node.names),
    )
    container_id = await _create(means, pod, container, wanted, pulled=pulled)
    means.api.event(pod, "Normal", "Created", f"Created container {action.container}", action.container)
    with refusing("RunContainerError"):
        await means.runtime.start(container_id)
    means.api.event(pod, "Normal", "Started", f"Started container {action.container}", action.container)
    await _post_start(means, pod, container, container_id, address)
    return container_id


async def _security(means: Means, pod: Pod, container: Container) -> Security:
    """Raises Refused for what the engine cannot give, and for a user whom the pod does not allow."""
    user = ""
    if needs_image_user(pod["spec"], container):
        image = await means.runtime.image(container["image"])
        if image is None:
            await ensure_image(means, pod, container, absent=True)
            image = await means.runtime.image(container["image"])
        user = image.user if image else ""
    if why := runs_as_root(pod["spec"], container, user):
        raise Refused("CreateContainerConfigError", f"{why} (pod: {pod['metadata'].get('name')})")
    with refusing("CreateContainerConfigError"):
        return await asyncio.to_thread(security_of, pod["spec"], container, means.node.confinement, user)


async def _processes_of(means: Means, pod: Pod, container: Container) -> str:
    """The id of the running container that an ephemeral one wants to look into; '' if none is named."""
    target = cast(EphemeralContainer, container).get("targetContainerName")
    if not target:
        return ""
    for state in await means.runtime.states(uid(pod)):
        if state.container == target and state.phase is Phase.RUNNING:
            return state.id
    raise Refused("CreateContainerError", f"container {target} does not run, its processes cannot be joined")


async def _create(
    means: Means, pod: Pod, container: Container, wanted: ContainerSpec, *, pulled: bool
) -> str:
    """The image is looked for only when the engine says that it lacks it: one question less for every start."""
    try:
        with refusing("CreateContainerError", but=NotFound):
            container_id = await means.runtime.ensure_container(wanted)
    except NotFound:
        await ensure_image(means, pod, container, absent=True)
        with refusing("CreateContainerError"):
            return await means.runtime.ensure_container(wanted)
    if not pulled:
        message = f'Container image "{container["image"]}" already present on machine'
        means.api.event(pod, "Normal", "Pulled", message, container["name"])
    return container_id


async def _post_start(means: Means, pod: Pod, container: Container, container_id: str, address: str) -> None:
    hook = container.get("lifecycle", {}).get("postStart")
    if hook is None:
        return
    if why := await run_hook(means.runtime, hook, container, container_id, address):
        means.api.event(
            pod, "Warning", "FailedPostStartHook", f"PostStartHook failed: {why}", container["name"]
        )
        await means.runtime.stop(container_id, grace_seconds=pod["spec"]["terminationGracePeriodSeconds"])


async def stop(means: Means, pod: Pod | None, action: Stop, address: str) -> None:
    """The preStop hook within the grace, then SIGTERM, then SIGKILL when the grace is over."""
    left = action.grace_seconds
    if pod is not None:
        means.api.event(pod, "Normal", "Killing", action.why, action.container)
        container = next((one for one in every_container(pod) if one["name"] == action.container), None)
        hook = container.get("lifecycle", {}).get("preStop") if container is not None else None
        if container is not None and hook is not None:
            began = monotonic()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    if why := await run_hook(means.runtime, hook, container, action.container_id, address):
                        means.api.event(
                            pod,
                            "Warning",
                            "FailedPreStopHook",
                            f"PreStopHook failed: {why}",
                            action.container,
                        )
            left = max(left - (monotonic() - began), GRACE_LEFT_MIN_SECONDS)
    await means.runtime.stop(action.container_id, grace_seconds=left)


async def resize(means: Means, action: Resize) -> None:
    """New limits while it runs."""
    with refusing("ResizeError"):
        await means.runtime.resize(action.container_id, action.capacity)


async def tear_down(means: Means, pod_uid: str, sandbox_id: str) -> None:
    """The address is free only when nothing uses it any more."""
    if means.spares is not None:
        means.spares.postpone()
    if sandbox_id:
        await means.runtime.remove(sandbox_id)
    await means.network.detach(pod_uid)
    await means.volumes.remove(pod_uid)
    means.addresses.release(pod_uid)


@contextmanager
def refusing(reason: str, but: type[GitwardError] = Refused) -> Iterator[None]:
    """What goes wrong in here is told under this reason; `but` passes as it is."""
    try:
        yield
    except (Refused, but):
        raise
    except GitwardError as error:
        raise Refused(reason, str(error), passing=error.retry) from error
