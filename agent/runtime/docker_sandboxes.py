"""Sandboxes at a Docker engine: made for a pod, or made ahead and given to one later. Blocking.

What a container is labelled with cannot change, its name can: a spare sandbox is claimed by bearing the name that a
pod's own would bear, which also keeps two makers of the same sandbox apart.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import docker.errors

from agent.runtime import pause
from agent.runtime.docker_requests import (
    container_name,
    sandbox_body,
    spare_body,
    spare_hostname,
    spare_name,
)
from agent.runtime.protocol import LABEL_CLUSTER, LABEL_CONTAINER, SANDBOX, SandboxSpec
from gitops.kinds.errors import Unavailable


class DockerSandboxes:
    """`forget` is called when a sandbox turns out to be gone behind our back. What is answered is Docker's JSON."""

    def __init__(
        self,
        host: str,
        cluster: str,
        api: Any,
        architecture: str,
        *,
        oom_score_min: int,
        forget: Callable[[], None],
    ) -> None:
        self._host, self._cluster, self._api = host, cluster, api
        self._architecture, self._oom_min, self._forget = architecture, oom_score_min, forget
        self._pause_id = ""

    def make(self, spec: SandboxSpec) -> Mapping[str, Any]:
        body = sandbox_body(self._cluster, spec, self._pause(), oom_score_min=self._oom_min)
        container_id = self.create(body, container_name(self._cluster, spec))
        return self._written(self._started(container_id), spec)

    def make_spare(self, key: str, address: str) -> Mapping[str, Any]:
        body = spare_body(self._cluster, key, address, self._pause(), oom_score_min=self._oom_min)
        return self._started(self.create(body, spare_name(self._cluster, key)))

    def claim(self, spec: SandboxSpec, container_id: str) -> Mapping[str, Any]:
        """A spare one becomes this pod's. Raises NotFound (the library's) if it is gone."""
        self._api.rename(container_id, container_name(self._cluster, spec))
        found: Mapping[str, Any] = self._api.inspect_container(container_id)
        if not found["State"]["Running"]:
            self._api.remove_container(container_id, force=True)
            raise Unavailable(f"Docker at {self._host}: the spare sandbox {container_id[:12]} has ended")
        return self._written(found, spec)

    def of_pod(self, pod_uid: str) -> str:
        """The id of its running sandbox, '' if there is none."""
        labels = [f"{LABEL_CLUSTER}={self._cluster}", f"{LABEL_CONTAINER}={SANDBOX}"]
        found = self._api.containers(filters={"label": labels, "name": [pod_uid]})
        return str(found[0]["Id"]) if found else ""

    def create(self, body: Mapping[str, Any], name: str) -> str:
        """The id; of the existing container if the name is taken."""
        try:
            return str(self._api.create_container_from_config(body, name)["Id"])
        except docker.errors.APIError as error:
            if error.status_code == 409:
                return str(self._api.inspect_container(name)["Id"])
            if error.status_code == 404 and "image" not in str(error.explanation).lower():
                self._forget()
                raise Unavailable(f"Docker at {self._host}: {error.explanation}") from error
            raise

    def start(self, container_id: str) -> None:
        """A start that fails for what the container is (no such program) shows in its state, as an end."""
        try:
            self._api.start(container_id)
        except docker.errors.NotFound:
            raise
        except docker.errors.APIError as error:
            state = self._api.inspect_container(container_id)["State"]
            if not state["Error"]:
                raise Unavailable(f"Docker at {self._host}: {error.explanation}") from error

    def _started(self, container_id: str) -> Mapping[str, Any]:
        self.start(container_id)
        found: Mapping[str, Any] = self._api.inspect_container(container_id)
        if not found["State"]["Running"]:
            # A start that failed once fails for ever: the next try shall make a new one.
            self._api.remove_container(container_id, force=True)
            raise Unavailable(
                f"Docker at {self._host}: sandbox: {found['State']['Error'] or 'it ended at once'}"
            )
        return found

    @staticmethod
    def _written(found: Mapping[str, Any], spec: SandboxSpec) -> Mapping[str, Any]:
        """Docker shares these files with every container that joins, so one write serves them all; a bind mount
        for each container would cost a tenth of its start."""
        hostname = f"{spec.hostname}\n" if spare_hostname(found["Config"]["Labels"]) else ""
        files = {"HostsPath": spec.hosts, "ResolvConfPath": spec.resolv_conf, "HostnamePath": hostname}
        for name, content in files.items():
            if content and (path := found.get(name)):
                Path(path).write_text(content, encoding="utf-8")
        return found

    def _pause(self) -> str:
        """The id of the pause image, loaded if the engine lacks it."""
        if not self._pause_id:
            image = pause.image(self._architecture)
            try:
                self._api.inspect_image(image.id)
            except docker.errors.NotFound:
                for _ in self._api.load_image(image.archive):
                    continue
            self._pause_id = image.id
        return self._pause_id
