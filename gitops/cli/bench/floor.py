"""The floor of `bench deploy`: the same sandboxes and containers by the raw Docker API, at the same width."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import docker

WIDTH: Final = 2 * (os.cpu_count() or 1)  # As the agent: more in flight makes each slower, none faster.
LABEL: Final = "io.gitward.bench"


def start_raw(engine: docker.DockerClient, *, pods: int, image: str, command: tuple[str, ...]) -> float:
    """Seconds until `pods` pairs of a sandbox (network `none`) and a container joined to it have started."""
    begin = time.monotonic()
    with ThreadPoolExecutor(WIDTH) as workers:
        list(workers.map(lambda _: _pod(engine.api, image, command), range(pods)))
    return time.monotonic() - begin


def remove_raw(engine: docker.DockerClient) -> None:
    """Every container that `start_raw` made."""
    with ThreadPoolExecutor(WIDTH) as workers:
        found = engine.containers.list(all=True, ignore_removed=True, filters={"label": LABEL})
        list(workers.map(lambda container: container.remove(force=True, v=True), found))


def _pod(api: Any, image: str, command: tuple[str, ...]) -> None:
    sandbox = _container(api, image, command, {"NetworkMode": "none", "IpcMode": "shareable"})
    _container(
        api, image, command, {"NetworkMode": f"container:{sandbox}", "IpcMode": f"container:{sandbox}"}
    )


def _container(api: Any, image: str, command: tuple[str, ...], host_config: dict[str, object]) -> str:
    config = {"Image": image, "Cmd": list(command), "Labels": {LABEL: "1"}, "HostConfig": host_config}
    made = api.create_container_from_config(config)
    api.start(made["Id"])
    return str(made["Id"])
