"""Real kubectl follows changes: get -w, wait, rollout status, logs -f, delete."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from gitops.kinds.apps import DEPLOYMENT
from gitops.kinds.core.pod import POD
from tests.integration.api.agents import BROKEN, answering
from tests.integration.api.builders import a_deployment, a_pod, pod_status
from tests.integration.api.served import ANSWER_SECONDS, Served


@contextmanager
def running(api: Served, *arguments: str) -> Iterator[IO[str]]:
    """kubectl in the background; gives its output."""
    with subprocess.Popen(api.command(*arguments), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        guard = threading.Timer(
            ANSWER_SECONDS, process.kill
        )  # A line that never comes must not hang the tests.
        guard.start()
        try:
            yield process.stdout
        finally:
            guard.cancel()
            process.terminate()


def test_get_w_prints_each_change_as_it_comes(api: Served) -> None:
    api.create(a_pod("a"))

    with running(api, "get", "pods", "-w", "-o", "name") as output:
        assert output.readline() == "pod/a\n"
        api.create(a_pod("b"))
        assert output.readline() == "pod/b\n"
        api.remove(POD, "default", "a")
        assert output.readline() == "pod/a\n"


def test_get_w_of_one_object_prints_no_change_twice(api: Served) -> None:
    api.create(a_deployment("web", replicas=1))

    with running(api, "get", "deploy", "web", "-w", "-o", "jsonpath={.spec.replicas}{'\\n'}") as output:
        assert output.readline() == "1\n"
        api.wait_for_watch()
        deployment = api.found(DEPLOYMENT, "default", "web")
        api.update({**deployment, "spec": {**deployment["spec"], "replicas": 2}})
        assert output.readline() == "2\n"


def test_wait_returns_when_the_condition_holds(api: Served) -> None:
    api.create(a_pod("a", node="n1", ready=False))

    with running(api, "wait", "--for=condition=Ready", "pod/a", "--timeout=20s") as output:
        api.update({**api.found(POD, "default", "a"), "status": pod_status(ready=True)}, "status")
        assert output.readline() == "pod/a condition met\n"


def test_rollout_status_follows_a_deployment_to_its_end(api: Served) -> None:
    api.create(a_deployment("web", replicas=2, ready=1))

    with running(api, "rollout", "status", "deploy/web") as output:
        assert "1 of 2 updated replicas are available" in output.readline()
        deployment = api.found(DEPLOYMENT, "default", "web")
        api.update({**deployment, "status": {**deployment["status"], "availableReplicas": 2}}, "status")
        assert output.readline() == 'deployment "web" successfully rolled out\n'


def test_a_deleted_pod_stops_gracefully_and_kubectl_waits_for_its_node(api: Served) -> None:
    api.create(a_pod("a", node="n1", ready=True))

    with running(api, "delete", "pod", "a") as output:
        assert "deleted" in output.readline()
        assert api.found(POD, "default", "a")["metadata"]["deletionGracePeriodSeconds"] == 30
        api.kubectl("delete", "pod", "a", "--grace-period=0", "--force", "--wait=false", node="n1")

    assert api.found(POD, "default", "a") is None


def test_what_git_declares_is_not_deleted_and_everything_else_is_anyones(api: Served) -> None:
    api.create(a_pod("a"), a_deployment("web"))
    claim = {
        "source": "shop",
        "app": "shop",
        "commit": "3f2c1ab" + "0" * 33,
        "file": "apps/a.yaml",
        "line": 7,
    }
    api.declare(a_pod("a"), {**claim, "state": "declared"})

    refused = api.kubectl("delete", "pod", "a", fails=True)

    assert "apps/a.yaml:7" in refused
    assert api.found(POD, "default", "a") is not None
    api.kubectl("scale", "deploy", "web", "--replicas=3")
    api.kubectl("delete", "deploy", "web")
    api.kubectl("annotate", "pod", "a", "x=y")


def test_logs_come_from_the_node_and_are_followed(api: Served) -> None:
    api.create(a_pod("a", node="n1", ready=True))

    with answering(api, "n1", {"main": ["one\n", "two\n", "three\n"]}) as node:
        assert api.kubectl("logs", "a") == "one\ntwo\nthree\n"
        assert api.kubectl("logs", "a", "--limit-bytes=5") == "one\nt"
        assert "tail_lines=1" in api.kubectl("logs", "a", "--tail=1", "-c", "main") + str(node.asked[-1])
        with running(api, "logs", "-f", "a") as output:
            assert [output.readline() for _ in range(3)] == ["one\n", "two\n", "three\n"]
            node.say("four\n")
            assert output.readline() == "four\n"
        node.wait_until_left()


def test_logs_without_a_connected_node_or_a_started_container_say_so(api: Served) -> None:
    api.create(a_pod("a", node="n1", ready=True), a_pod("waits"))

    assert "node n1 is not connected" in api.kubectl("logs", "a", fails=True)
    assert "does not have a host assigned" in api.kubectl("logs", "waits", fails=True)
    assert "container other is not valid for pod a" in api.kubectl("logs", "a", "-c", "other", fails=True)
    assert "previous terminated container" in api.kubectl("logs", "a", "-p", fails=True)


def test_an_error_of_the_node_is_told_and_a_log_that_breaks_off_is_no_success(api: Served) -> None:
    api.create(a_pod("a", node="n1", ready=True), a_pod("b", node="n2", ready=True))

    with answering(api, "n1", {"main": [BROKEN]}), answering(api, "n2", {"main": ["one\n", BROKEN]}):
        assert "container main is gone" in api.kubectl("logs", "a", fails=True)
        assert "container main is gone" in api.kubectl("logs", "-f", "a", fails=True)
        assert "unexpected EOF" in api.kubectl("logs", "b", fails=True)


def test_a_watch_of_a_table_gives_rows(api: Served) -> None:
    api.create(a_pod("a"))

    with running(api, "get", "pods", "-w") as output:
        assert output.readline().split()[0] == "NAME"
        assert output.readline().split()[0] == "a"
        api.create(a_pod("b"))
        assert output.readline().split()[0] == "b"


def test_a_source_can_be_asked_to_look_now(api: Served) -> None:
    api.create(
        {
            "apiVersion": "gitward.io/v1alpha1",
            "kind": "GitSource",
            "metadata": {"name": "shop"},
            "spec": {"url": "https://example.org/shop.git"},
        }
    )

    answer = api.kubectl(
        "create", "--raw", "/apis/gitward.io/v1alpha1/gitsources/shop/sync", "-f", "/dev/null"
    )

    assert json.loads(answer)["metadata"]["name"] == "shop"
    assert api.synced == ["shop"]
