"""A claim on the whole road: committed, bound where its pod runs, its data kept over pods, removed with the claim."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.cli.bench.cluster import Cluster
from tests.docker.road.clusters import eventually, following

pytestmark = pytest.mark.timeout(300)

MANIFEST = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Gi}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: writer}
spec:
  strategy: {type: Recreate}
  selector: {matchLabels: {app: writer}}
  template:
    metadata: {labels: {app: writer}}
    spec:
      terminationGracePeriodSeconds: 1
      securityContext: {runAsUser: 1000, runAsGroup: 1000, fsGroup: 2000}
      containers:
        - name: app
          image: gitward.example/shop-web:1.0
          env: [{name: ROUND, value: "ONE"}]
          command: [sh, -c, 'trap "exit 0" TERM; echo $ROUND >> /store/log; while :; do sleep 0.2; done']
          volumeMounts: [{name: store, mountPath: /store, subPathExpr: "logs"}]
      volumes: [{name: store, persistentVolumeClaim: {claimName: data}}]
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with following(tmp_path, MANIFEST) as cluster:
        yield cluster


def get(cluster: Cluster, kind: str, name: str = "") -> str:
    arguments = ("get", kind, *((name,) if name else ()), "--kubeconfig", str(cluster.kubeconfig))
    return cluster.gitward(*arguments)


def test_a_claim_is_bound_keeps_its_data_and_takes_it_along(cluster: Cluster) -> None:
    cluster.sync()

    assert "local-path" in get(cluster, "storageclass")
    assert "Bound" in get(cluster, "pvc", "data")
    folders = list((cluster.data_dir / "volumes").iterdir())
    assert len(folders) == 1
    log = folders[0] / "logs" / "log"
    eventually(lambda: log.exists() and log.read_text() == "ONE\n", lambda: list(folders[0].rglob("*")))
    assert (folders[0].stat().st_gid, log.stat().st_uid, log.stat().st_gid) == (2000, 1000, 2000)

    cluster.commit({"app.yaml": MANIFEST.replace('"ONE"', '"TWO"')}, "another pod")
    cluster.sync()
    eventually(lambda: log.read_text() == "ONE\nTWO\n", log.read_text)

    assert cluster.stop() == 0
    assert log.exists()
    cluster.start()
    assert "Bound" in get(cluster, "pvc", "data")

    cluster.commit({"app.yaml": None}, "all gone\n\nGitward-Allow-Prune: all")
    cluster.sync(wait=False)
    eventually(lambda: not folders[0].exists(), lambda: get(cluster, "pv"))
    eventually(lambda: "pvc-" not in get(cluster, "pv"), lambda: get(cluster, "pv"))


def test_a_static_volume_of_a_directory_is_bound_and_kept(cluster: Cluster, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o777)
    kept.chmod(0o777)
    volume = f"""
apiVersion: v1
kind: PersistentVolume
metadata: {{name: kept}}
spec:
  capacity: {{storage: 2Gi}}
  accessModes: [ReadWriteOnce]
  storageClassName: manual
  hostPath: {{path: {kept}, type: Directory}}
---
"""
    manifest = MANIFEST.replace("accessModes:", "storageClassName: manual\n  accessModes:")
    manifest = manifest.replace("name: data", "name: manual").replace("claimName: data", "claimName: manual")
    cluster.commit({"app.yaml": None, "more.yaml": volume + manifest}, "static\n\nGitward-Allow-Prune: all")
    try:
        cluster.sync()
    except subprocess.CalledProcessError as error:  # pragma: no cover # Its words are the test's.
        raise AssertionError(error.stderr) from error

    eventually(lambda: (kept / "logs" / "log").exists(), lambda: list(kept.iterdir()))
    assert "Bound" in get(cluster, "pvc", "manual")
    cluster.commit({"more.yaml": volume.rpartition("---")[0]}, "the claim goes\n\nGitward-Allow-Prune: all")
    cluster.sync(wait=False)
    eventually(lambda: "Released" in get(cluster, "pv", "kept"), lambda: get(cluster, "pv"))
    assert (kept / "logs" / "log").read_text() == "ONE\n"
