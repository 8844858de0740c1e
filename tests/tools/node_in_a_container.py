"""`node_in_a_container.py FOLDER`: the image `gitward` as master and node of the engine that runs it, start to end.

Part of `make image`, inside `isolated`: pods, DNS and ingress must outlive the agent's container, and be taken over by
the next; `down` must leave nothing. The options are those of docs/howto/agent-in-a-container.md, and no more.
"""

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.docker.engine import IMAGE, load_busybox  # noqa: E402 # It is no package of the environment's.

NAME: Final = "gitward-node"
INGRESS_PORT: Final = 18080
WAIT_SECONDS: Final = 90.0
MANIFESTS: Final = f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
      - name: web
        image: {IMAGE}
        imagePullPolicy: IfNotPresent
        command: [sh, -c, "trap 'exit 0' TERM; echo served > /www/index.html; httpd -f -p 8080 -h /www & wait"]
        volumeMounts: [{{name: www, mountPath: /www}}, {{name: told, mountPath: /told}}]
        readinessProbe: {{httpGet: {{port: 8080, path: /}}, periodSeconds: 1}}
      volumes:
      - name: www
        emptyDir: {{medium: Memory}}
      - name: told
        configMap: {{name: told}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: told}}
data: {{word: from a ConfigMap}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080}}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: web}}
spec:
  rules:
  - host: web.test
    http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: web, port: {{number: 80}}}}}}}}]}}
"""


def run(*command: str) -> str:
    """Its output; its words are shown where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise AssertionError(
            f"{' '.join(command)}: exit {done.returncode}: {done.stderr[-3000:]}{done.stdout[-1000:]}"
        )
    return done.stdout.strip()


def options(folder: Path) -> tuple[str, ...]:
    """What a node needs of `docker run`."""
    data = folder / "data"
    engine = os.environ["DOCKER_HOST"].removeprefix("unix://")
    containers = run("docker", "info", "--format", "{{.DockerRootDir}}") + "/containers"
    return (
        *("--network", "host", "--pid", "host", "--cgroupns", "host"),
        *("--cap-add", "NET_ADMIN", "--cap-add", "SYS_ADMIN", "--cap-add", "SYS_PTRACE"),
        *("--security-opt", "apparmor=unconfined", "--security-opt", "systempaths=unconfined"),
        *("--volume", f"{engine}:{engine}", "--env", f"DOCKER_HOST=unix://{engine}"),
        *("--volume", f"{data}:{data}:rshared", "--env", f"GITWARD_DATA_DIR={data}"),
        *("--volume", "/run/gitward:/run/gitward", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:ro"),
        *("--volume", f"{containers}:{containers}", "--volume", f"{folder}/repo:{folder}/repo:ro"),
    )


def eventually(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        try:
            if holds():
                return
        except (AssertionError, OSError, http.client.HTTPException):
            pass
        time.sleep(0.3)
    raise AssertionError(f"not within {WAIT_SECONDS:.0f} s: {what}")


def by_ingress() -> str:
    connection = http.client.HTTPConnection("127.0.0.1", INGRESS_PORT, timeout=5)
    connection.request("GET", "/", headers={"Host": "web.test"})
    text = connection.getresponse().read().decode().strip()
    connection.close()
    return text


def containers(label: str) -> dict[str, str]:
    """Id -> the label's value."""
    shown = run(
        "docker",
        "ps",
        "--no-trunc",
        "--filter",
        f"label={label}",
        "--format",
        f'{{{{.ID}}}} {{{{.Label "{label}"}}}}',
    )
    return {line.split()[0]: line.split()[1] for line in shown.splitlines()}


def pods() -> dict[str, str]:
    return containers("io.gitward.pod-uid")


def helpers() -> dict[str, str]:
    return containers("io.gitward.helper")


def in_pod(*command: str) -> str:
    (found,) = (one for one, name in containers("io.gitward.container").items() if name == "web")
    return run("docker", "exec", found, *command)


def serves() -> bool:
    """By ingress, and by the service's name: so DNS, rules and proxy are at work."""
    return (
        by_ingress() == "served"
        and in_pod("wget", "-q", "-O", "-", "http://web.default.svc.cluster.local/") == "served"
    )


def is_ready() -> bool:
    return '"ready": true' in run("docker", "exec", NAME, "gitward", "status", "-o", "json")


def main(folder: Path) -> None:
    load_busybox(os.environ["DOCKER_HOST"])
    for name in ("data", "repo"):
        (folder / name).mkdir(exist_ok=True)
    Path("/run/gitward").mkdir(mode=0o700, exist_ok=True)
    # What `rshared` asks for; on a host with systemd every mount is shared already.
    run("mount", "--bind", str(folder / "data"), str(folder / "data"))
    run("mount", "--make-rshared", str(folder / "data"))
    git = (
        "git",
        "-C",
        str(folder / "repo"),
        "-c",
        "user.name=Gitward",
        "-c",
        "user.email=gitward@example.com",
    )
    run(*git, "init", "--quiet", "--initial-branch", "main")
    (folder / "repo/web.yaml").write_text(MANIFESTS)
    run(*git, "add", ".")
    run(*git, "commit", "--quiet", "--message", "web")
    up = (
        "up",
        "--repo",
        f"file://{folder}/repo",
        "--ingress-http",
        f"127.0.0.1:{INGRESS_PORT}",
        "--ingress-https",
        "",
    )
    run("docker", "run", "--detach", "--name", NAME, *options(folder), "gitward", *up)
    try:
        eventually(lambda: "ready https" in run("docker", "logs", NAME), "the master is ready")
        print(run("docker", "exec", NAME, "gitward", "sync", "--wait"))
        eventually(serves, "the pod is served by ingress and by name")
        assert in_pod("cat", "/told/word") == "from a ConfigMap"
        running, helping = pods(), helpers()
        assert sorted(helping.values()) == ["dns", "haproxy"], helping
        print("a pod is served; DNS and proxy are containers of their own")

        run("docker", "kill", NAME)
        assert serves()
        assert (pods(), helpers()) == (running, helping)
        run("docker", "start", NAME)
        eventually(is_ready, "the node is ready again")
        assert (pods(), helpers()) == (running, helping)
        assert serves()
        print("the agent's container was killed and started: nothing restarted, nothing unserved")

        (dns,) = (one for one, name in helping.items() if name == "dns")
        run("docker", "kill", dns)
        eventually(lambda: "dns" in helpers().values() and dns not in helpers(), "a killed DNS is back")
        eventually(serves, "the pod is served again")

        run("docker", "stop", "--time", "30", NAME)
        down = run("docker", "run", "--rm", *options(folder), "gitward", "down")
        print(down)
        assert f"unmounted {folder}/data" not in down.splitlines()
        left = run("docker", "ps", "--all", "--quiet", "--filter", "label=io.gitward.pod-uid") + "".join(
            helpers()
        )
        assert left == "", left
        assert "gw" not in run("ip", "-o", "link")
    except AssertionError:
        print(
            subprocess.run(
                ("docker", "logs", "--tail", "60", NAME), capture_output=True, text=True, check=False
            ).stderr
        )
        raise
    finally:
        subprocess.run(("docker", "rm", "--force", NAME), capture_output=True, check=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
