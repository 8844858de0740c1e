"""A pod's own identity on the whole road: its token, the CA and the way to the API that it finds in its container."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from gitops.cli.bench.cluster import Cluster
from tests.docker.road.clusters import eventually, following

pytestmark = pytest.mark.timeout(300)

MANIFEST = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: shy}
automountServiceAccountToken: false
---
apiVersion: v1
kind: Pod
metadata: {name: robot}
spec:
  serviceAccountName: robot
  terminationGracePeriodSeconds: 0
  containers:
    - name: app
      image: gitward.example/shop-web:1.0
      command: [sh, -c, 'while :; do sleep 1; done']
      volumeMounts: [{name: vault, mountPath: /vault}]
  volumes:
    - name: vault
      projected:
        sources: [{serviceAccountToken: {path: token, audience: vault, expirationSeconds: 600}}]
---
apiVersion: v1
kind: Pod
metadata: {name: shy}
spec:
  serviceAccountName: shy
  terminationGracePeriodSeconds: 0
  containers:
    - {name: app, image: 'gitward.example/shop-web:1.0', command: [sh, -c, 'while :; do sleep 1; done']}
"""
FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
# What a client library in the pod would do, by the pod's environment, its CA and its token, in the pod's network.
CALL = """
import http.client, json, ssl, sys
told = json.loads(sys.stdin.read())
trust = ssl.create_default_context(cadata=told["ca"])
api = http.client.HTTPSConnection(told["host"], int(told["port"]), context=trust, timeout=20)
body = json.dumps(told["body"]) if told.get("body") else None
api.request(told["method"], told["path"], body, {"Authorization": "Bearer " + told["token"]})
answer = api.getresponse()
print(json.dumps([answer.status, json.loads(answer.read())]))
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with following(tmp_path, MANIFEST) as cluster:
        yield cluster


def container_of(pod: str) -> Container:
    labels: dict[str, Any] = {"label": [f"io.gitward.pod-name={pod}", "io.gitward.container=app"]}
    found: list[Container] = []

    def runs() -> bool:
        found[:] = docker.from_env().containers.list(ignore_removed=True, filters=labels)
        return bool(found)

    eventually(runs, lambda: f"pod {pod} does not run")
    return found[0]


def inside(container: Container, *command: str) -> str:
    code, output = container.exec_run(list(command), stream=False)
    assert code == 0, output
    assert isinstance(output, bytes)
    return output.decode()


def call(container: Container, method: str, path: str, token: str, body: object = None) -> tuple[int, Any]:
    """From the pod's own network namespace."""
    told = {
        "host": inside(container, "sh", "-c", "echo -n $KUBERNETES_SERVICE_HOST"),
        "port": inside(container, "sh", "-c", "echo -n $KUBERNETES_SERVICE_PORT"),
        "ca": inside(container, "cat", f"{FOLDER}/ca.crt"),
        "token": token,
        "method": method,
        "path": path,
        "body": body,
    }
    pid = docker.from_env().api.inspect_container(str(container.id))["State"]["Pid"]
    done = subprocess.run(
        ["nsenter", f"--net=/proc/{pid}/ns/net", sys.executable, "-c", CALL],
        input=json.dumps(told),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    status, answer = json.loads(done.stdout)
    return status, answer


def test_a_pod_reaches_the_api_by_its_own_token_and_no_more_than_it_may(cluster: Cluster) -> None:
    cluster.sync()
    robot, shy = container_of("robot"), container_of("shy")
    token = inside(robot, "cat", f"{FOLDER}/token")

    status, answer = call(
        robot,
        "POST",
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        token,
        {"kind": "SelfSubjectReview"},
    )
    assert (status, answer["status"]["userInfo"]["username"]) == (201, "system:serviceaccount:default:robot")
    assert inside(robot, "cat", f"{FOLDER}/namespace") == "default"
    assert call(robot, "GET", "/api", token)[0] == 200
    status, answer = call(robot, "GET", "/api/v1/namespaces/default/secrets", token)
    assert (status, answer["reason"]) == (403, "Forbidden")
    for_vault = inside(robot, "cat", "/vault/token")
    assert call(robot, "GET", "/api", for_vault)[0] == 401
    assert shy.exec_run(["ls", FOLDER])[0] != 0

    cluster.commit({"app.yaml": MANIFEST.partition("---\napiVersion: v1\nkind: Pod")[0]}, "pods go")
    cluster.sync()
    gone = inside_network_of_host(cluster, token)
    assert gone == 401


def inside_network_of_host(cluster: Cluster, token: str) -> int:
    """The code of a request with the token of a pod that is gone."""
    url = cluster.flags["listen"]
    ca = (cluster.data_dir / "pki" / "ca.crt").read_text()
    host, _, port = url.rpartition(":")
    told = {"host": host, "port": port, "ca": ca, "token": token, "method": "GET", "path": "/api"}
    end = time.monotonic() + 60
    while True:
        done = subprocess.run(
            [sys.executable, "-c", CALL],
            input=json.dumps(told),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        status = int(json.loads(done.stdout)[0])
        if status == 401 or time.monotonic() > end:
            return status
        time.sleep(0.2)
