"""`gitward status` over a real API: what is live, and what holds the rest back."""

import json

import pytest
import yaml

from tests.integration.api.builders import Json, a_deployment, a_node, a_pod
from tests.integration.cli.conftest import Cluster

FETCHED = "3f2c1ab0000000000000000000000000000000aa"
LIVE = "9d8e7f60000000000000000000000000000000bb"


def test_the_table_shows_sources_nodes_and_that_all_is_well(cluster: Cluster) -> None:
    cluster.live(LIVE)
    cluster.api.create(a_node("n1"), a_deployment("web", ready=1))

    ended = cluster.run("status")

    assert ended == (
        0,
        "SOURCE   FETCHED   DECLARED   LIVE      STATE   URL\n"
        f"main     9d8e7f6   9d8e7f6    9d8e7f6   ok      {cluster.repository.url}\n"
        "\n"
        "NODE   READY\n"
        "n1     True\n"
        "\n"
        "1 workload, all healthy\n",
        "",
    )


def test_before_the_first_look_nothing_is_claimed(cluster: Cluster) -> None:
    lines = cluster.run("status").out.splitlines()

    assert lines[1].split()[1:5] == ["-", "-", "-", "waiting"]
    assert lines[-1] == "no workloads"


def test_what_holds_a_commit_back_is_told_with_file_and_line(cluster: Cluster) -> None:
    cluster.status(
        {
            "commit": {"fetched": FETCHED, "declared": LIVE, "live": LIVE},
            "problems": ["web.yaml:7: Deployment default/web: \x1b[2Jwrong"],
            "held": ["Namespace old"],
            "warnings": ["web.yaml:9: spec.affinity is not acted on yet"],
        }
    )
    cluster.api.create(a_deployment("web", replicas=3, ready=1))

    lines = cluster.run("status").out.splitlines()

    assert lines[1].split()[1:5] == ["3f2c1ab", "9d8e7f6", "9d8e7f6", "held"]
    assert "error: web.yaml:7: Deployment default/web: \\x1b[2Jwrong" in lines
    held = lines.index("held: Namespace old")
    assert lines[held + 1] == (
        "held: deleted after a commit with the trailer `Gitward-Allow-Prune: all`, or a number"
    )
    assert "warning: web.yaml:9: spec.affinity is not acted on yet" in lines
    assert any(line.split()[:3] == ["Deployment", "default/web", "Progressing"] for line in lines)


def test_what_cannot_be_applied_and_what_waits_is_told(cluster: Cluster) -> None:
    cluster.status(
        {
            "commit": {"fetched": FETCHED, "declared": FETCHED, "live": LIVE},
            "unapplied": ["web.yaml:7: Deployment default/web: field is immutable"],
            "waiting": ["db.yaml:1: there is no namespace shop"],
        }
    )

    lines = cluster.run("status").out.splitlines()

    assert lines[1].split()[1:6] == ["3f2c1ab", "3f2c1ab", "9d8e7f6", "not", "applied"]
    assert "error: web.yaml:7: Deployment default/web: field is immutable" in lines
    assert "waiting: db.yaml:1: there is no namespace shop" in lines


def test_json_and_yaml_say_the_same_with_full_ids(cluster: Cluster) -> None:
    cluster.status({"commit": {"fetched": FETCHED, "live": LIVE}})

    found = json.loads(cluster.run("status", "-o", "json").out)

    assert found["sources"][0]["commit"] == {"fetched": FETCHED, "declared": "", "live": LIVE}
    assert found["sources"][0]["name"] == "main"
    assert found["nodes"] == []
    assert yaml.safe_load(cluster.run("status", "-o", "yaml").out) == found


def test_a_master_that_is_gone_is_one_line(cluster: Cluster) -> None:
    config = cluster.api.config_of().read_text()
    gone = cluster.api.folder / "gone.kubeconfig"
    gone.write_text(config.replace(cluster.api.url, "https://127.0.0.1:9"))

    ended = cluster.shell.run("status", "--kubeconfig", str(gone))

    assert ended.code == 1
    assert ended.err.startswith("API server https://127.0.0.1:9: ")
    assert len(ended.err.splitlines()) == 1


def test_a_master_that_takes_no_writes_is_told_first(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.live(LIVE)
    full = property(lambda _: "the disk is full: make room")
    monkeypatch.setattr(type(cluster.api.store), "problem", full)

    table = cluster.run("status")
    found = json.loads(cluster.run("status", "-o", "json").out)

    assert (
        table.out.splitlines()[0]
        == "error: the master is not ready: store failed: the disk is full: make room"
    )
    assert found["problem"] == "store failed: the disk is full: make room"


def a_failing_pod(name: str) -> Json:
    pod = a_pod(name, node="n1", labels={"app": "web"})
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "shop" not found'}
    pod["status"]["containerStatuses"][0]["state"] = {"waiting": waiting}
    return pod


def test_what_a_pod_waits_for_is_told_of_its_workload(cluster: Cluster) -> None:
    cluster.live(LIVE)
    cluster.api.create(
        a_node("n1"),
        a_deployment("web", replicas=2, ready=1),
        a_pod("web-a", node="n1", ready=True, labels={"app": "web"}),
        a_failing_pod("web-c"),
        a_failing_pod("web-b"),
    )

    lines = cluster.run("status").out.splitlines()

    assert lines[-1].split(maxsplit=3) == [
        "Deployment",
        "default/web",
        "Progressing",
        '1 of 2 replicas are available: pod web-b: main: CreateContainerConfigError: secret "shop" not found',
    ]


def an_event(name: str, message: str, at: str) -> Json:
    about = {"kind": "Pod", "namespace": "default", "name": "web-a"}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": "default"},
        "involvedObject": about,
        "type": "Warning",
        "message": message,
        "lastTimestamp": at,
    }


def test_a_pod_that_waits_without_a_word_is_told_with_its_newest_warning(cluster: Cluster) -> None:
    cluster.live(LIVE)
    waiting = a_pod("web-a", node="n1", labels={"app": "web"})
    waiting["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "ContainerCreating"}}
    cluster.api.create(
        a_node("n1"),
        a_deployment("web"),
        waiting,
        an_event("a.2", 'secret "tls" not found', "2026-01-01T00:00:02Z"),
        an_event("a.1", "no nodes available to schedule pods", "2026-01-01T00:00:01Z"),
    )

    last = cluster.run("status").out.splitlines()[-1]

    assert last.endswith('pod web-a: not ready: ContainerCreating: secret "tls" not found')
