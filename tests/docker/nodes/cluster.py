"""A master in the test's namespace, machines that joined it, and what tests ask of both."""

import asyncio
import contextlib
import signal
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from gitops.client import Client
from gitops.kinds.core.node import NODE, Node, node_condition
from gitops.kinds.core.pod import POD, Pod, is_ready
from gitops.kinds.kind import Kind
from gitops.kinds.objects import is_going
from tests.docker.engine import IMAGE
from tests.docker.nodes.machines import GITWARD, Machine, eventually, machines, run

R = TypeVar("R")
PORT: Final = 16443
SERVE: Final = (
    "mkdir -p /data/cgi-bin; printf '#!/bin/sh\\necho\\necho $REMOTE_ADDR $HOSTNAME\\n' >/data/cgi-bin/who;"
    " busybox chmod 755 /data/cgi-bin/who; yes | head -c 2000000 >/data/big; trap 'exit 0' TERM;"
    " busybox httpd -f -p 8080 -h /data & wait"
)


class Cluster:
    def __init__(self, folder: Path, nodes: list[Machine], overlay: str) -> None:
        self.folder, self.nodes, self.overlay = folder, nodes, overlay
        self.data_dir, self.log = folder / "master", folder / "master.log"
        self.url = f"https://{nodes[0].router}:{PORT}"
        self.master: subprocess.Popen[str] | None = None
        self.before: dict[str, dict[str, list[str]]] = {}  # By machine: before its agent first ran.

    def start_master(self) -> None:
        self.data_dir.mkdir(mode=0o700, exist_ok=True)
        flags = (f"--data-dir={self.data_dir}", f"--listen=0.0.0.0:{PORT}", "--webhook-listen=")
        with self.log.open("a") as log:
            self.master = subprocess.Popen(
                (*GITWARD, "master", *flags), stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self.master.stdout is not None
        assert self.master.stdout.readline().startswith("ready"), self.log.read_text()[-3000:]

    def stop_master(self, how: signal.Signals = signal.SIGTERM) -> None:
        assert self.master is not None
        self.master.send_signal(how)
        self.master.wait(60)

    def gitward(self, *arguments: str) -> str:
        return run(*GITWARD, *arguments, f"--data-dir={self.data_dir}")

    def token(self, *flags: str) -> str:
        return self.gitward("token", "create", *flags).strip()

    def join(self, machine: Machine) -> None:
        machine.start_agent(f"--master={self.url}", f"--join={self.token()}", f"--overlay={self.overlay}",
                            "--ingress-http=0.0.0.0:8880", "--ingress-https=")  # fmt: skip

    def start_agent(self, machine: Machine) -> None:
        machine.start_agent(f"--overlay={self.overlay}", "--ingress-http=0.0.0.0:8880", "--ingress-https=")

    def ask(self, work: Callable[[Client], Coroutine[Any, Any, R]]) -> R:
        async def asked() -> R:
            async with Client.from_kubeconfig(self.data_dir / "admin.kubeconfig") as client:
                return await work(client)

        return asyncio.run(asked())

    def create(self, kind: Kind[Any], obj: object) -> None:
        self.ask(lambda client: client.create(kind, cast(Any, obj)))

    def list_nodes(self) -> tuple[Node, ...]:
        return self.ask(lambda client: client.list(NODE)).items

    def ready(self) -> set[str]:
        return {
            node["metadata"].get("name", "")
            for node in self.list_nodes()
            if (found := node_condition(node, "Ready")) is not None and found["status"] == "True"
        }

    def pods(self, app: str = "web") -> list[Pod]:
        """Those that are not going, by name."""
        found = self.ask(lambda client: client.list(POD, "default", label_selector=f"app={app}")).items
        return [pod for pod in found if not is_going(pod)]

    def all_ready(self, count: int, app: str = "web") -> bool:
        pods = self.pods(app)
        return len(pods) == count and all(is_ready(pod) for pod in pods)

    def machine_of(self, pod: Pod) -> Machine:
        return next(one for one in self.nodes if one.name == pod["spec"].get("nodeName"))

    def running(self) -> dict[str, list[str]]:
        """Pod uid -> ids of its app containers that run, on all machines."""
        found: dict[str, list[str]] = {}
        for machine in self.nodes:
            for one in machine.containers():
                found.setdefault(one["Labels"]["io.gitward.pod-uid"], []).append(one["Id"])
        return found


@contextlib.contextmanager
def cluster_of(folder: Path, overlay: str, live_restore: frozenset[int] = frozenset()) -> Iterator[Cluster]:
    """Direct routes are tried on one bridge, VXLAN between routed networks."""
    with machines(folder, bridged=overlay == "direct", live_restore=live_restore) as nodes:
        cluster = Cluster(folder, nodes, overlay)
        cluster.before = {machine.name: machine.snapshot() for machine in nodes}
        cluster.start_master()
        try:
            for machine in nodes:
                cluster.join(machine)
            eventually(lambda: cluster.ready() == {"n1", "n2", "n3"}, "all nodes are Ready")
            yield cluster
        finally:
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                cluster.stop_master()
            print("--- master", cluster.log.read_text()[-4000:])


def a_container(**more: object) -> dict[str, Any]:
    return {
        "name": "web",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", SERVE],
        "readinessProbe": {"httpGet": {"path": "/big", "port": 8080}, "periodSeconds": 1},
        **more,
    }


def a_deployment(replicas: int, version: str = "1", evicted_after_seconds: int = 300) -> dict[str, Any]:
    away = [
        {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute",
         "tolerationSeconds": evicted_after_seconds}
        for key in ("unreachable", "not-ready")
    ]  # fmt: skip
    env = [{"name": "VERSION", "value": version}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [a_container(env=env)], "tolerations": away},
            },
        },
    }


def a_service() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
