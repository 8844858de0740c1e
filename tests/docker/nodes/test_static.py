"""Pods of a directory on a joined node: run, mirrored, and looked after while the master is away."""

import contextlib
from pathlib import Path

import docker.errors
import pytest

from gitops.kinds.core.pod import Pod, is_ready
from gitops.kinds.objects import annotations_of, uid
from tests.docker.engine import IMAGE, lacks
from tests.docker.nodes.cluster import Cluster, cluster_of
from tests.docker.nodes.machines import eventually

pytestmark = pytest.mark.timeout(400)
HASH = "kubernetes.io/config.hash"
MANIFEST = f"""
apiVersion: v1
kind: Pod
metadata: {{name: web, labels: {{app: static}}}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: web
    image: {IMAGE}
    imagePullPolicy: Never
    command: [sh, -c, "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    env: [{{name: VERSION, value: "1"}}]
"""


def versions(cluster: Cluster) -> dict[str, str]:
    """Container id -> the version that it runs, on the first machine; without one that ends while it is asked."""
    found = {}
    for one in cluster.nodes[0].containers():
        owner = one["Labels"]["io.gitward.pod-uid"]
        with contextlib.suppress(docker.errors.APIError):
            found[str(one["Id"])] = cluster.nodes[0].in_pod(owner, "sh", "-c", "echo $VERSION").strip()
    return found


def mirrors(cluster: Cluster) -> list[Pod]:
    return [pod for pod in cluster.pods("static") if is_ready(pod)]


def test_a_static_pod_is_mirrored_and_needs_no_master(tmp_path: Path) -> None:
    if missing := lacks():
        pytest.skip(missing)
    with cluster_of(tmp_path, "direct") as cluster:
        first = cluster.nodes[0]
        directory = first.folder / "static"
        directory.mkdir()
        flags = (f"--static-pods={directory}", "--ingress-http=", "--ingress-https=")
        first.stop_agent()
        first.start_agent(*flags)
        (directory / "web.yaml").write_text(MANIFEST)
        eventually(lambda: len(mirrors(cluster)) == 1, "the mirror is Ready")
        (mirror,) = mirrors(cluster)
        assert mirror["metadata"].get("name") == "web-n1"
        assert [one.get("kind") for one in mirror["metadata"].get("ownerReferences", [])] == ["Node"]
        before = versions(cluster)
        assert list(before.values()) == ["1"]

        cluster.stop_master()
        first.run("env", f"DOCKER_HOST={first.docker_host}", "docker", "kill", next(iter(before)))
        eventually(lambda: list(versions(cluster).values()) == ["1"], "it runs again")
        (directory / "web.yaml").write_text(MANIFEST.replace('"1"', '"2"'))
        eventually(lambda: list(versions(cluster).values()) == ["2"], "the new one runs")
        after = versions(cluster)
        first.stop_agent("KILL")
        first.start_agent(*flags)
        eventually(lambda: first.log.read_text().count("node runs") >= 3, "the agent runs again")
        assert versions(cluster) == after

        cluster.start_master()
        eventually(
            lambda: [uid(one) for one in mirrors(cluster)] not in ([], [uid(mirror)]), "another mirror"
        )
        (newer,) = mirrors(cluster)
        assert annotations_of(newer)[HASH] != annotations_of(mirror)[HASH]
        assert versions(cluster) == after

        (directory / "web.yaml").unlink()
        eventually(lambda: not cluster.pods("static") and not versions(cluster), "both are gone")
