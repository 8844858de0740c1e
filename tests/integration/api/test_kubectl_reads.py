"""Real kubectl reads from a real server: what people type every day."""

import json

from tests.integration.api.builders import Json, a_deployment, a_node, a_pod, a_secret, a_service
from tests.integration.api.served import Served


def test_get_shows_the_columns_that_kubectl_users_know(api: Served) -> None:
    api.create(a_pod("web-1", node="n1", ready=True), a_pod("web-2"))

    lines = [line.split() for line in api.kubectl("get", "pods").splitlines()]

    assert lines[0] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert lines[1][:4] == ["web-1", "1/1", "Running", "0"]
    assert lines[2][:4] == ["web-2", "0/1", "Pending", "0"]


def test_wide_output_adds_address_and_node(api: Served) -> None:
    api.create(a_pod("web-1", node="n1", ready=True))

    row = api.kubectl("get", "pods", "-o", "wide", "--no-headers").split()

    assert "10.77.0.5" in row
    assert "n1" in row


def test_yaml_and_json_show_the_whole_object(api: Served) -> None:
    api.create(a_deployment("web", replicas=3))

    found = json.loads(api.kubectl("get", "deploy/web", "-o", "json"))
    text = api.kubectl("get", "deployment", "web", "-o", "yaml")

    assert found["apiVersion"] == "apps/v1"
    assert found["spec"]["strategy"]["type"] == "RollingUpdate"
    assert "replicas: 3" in text


def test_labels_and_fields_select(api: Served) -> None:
    api.create(a_pod("a", node="n1", labels={"app": "web"}), a_pod("b", node="n2"))

    assert api.kubectl("get", "pods", "-l", "app=web", "-o", "name") == "pod/a\n"
    assert api.kubectl("get", "pods", "--field-selector", "spec.nodeName=n2", "-o", "name") == "pod/b\n"


def test_all_namespaces_are_listed_with_their_names(api: Served) -> None:
    api.create(a_pod("a"), {**a_pod("b"), "metadata": {"name": "b", "namespace": "kube-system"}})

    lines = api.kubectl("get", "pods", "-A", "--no-headers").splitlines()

    assert [line.split()[:2] for line in lines] == [["default", "a"], ["kube-system", "b"]]


def test_get_all_shows_the_kinds_of_its_category(api: Served) -> None:
    api.create(a_pod("one"), a_deployment("web"), a_service("web"))

    names = api.kubectl("get", "all", "-o", "name").splitlines()

    assert names == ["pod/one", "service/web", "deployment.apps/web"]


def test_a_chunked_list_is_whole_though_pods_come_and_go_meanwhile(api: Served) -> None:
    api.create(*(a_pod(f"pod-{number:02d}") for number in range(25)))

    names = api.kubectl("get", "pods", "--chunk-size=10", "-o", "name").splitlines()

    assert len(names) == 25
    assert names[0] == "pod/pod-00"
    assert names[-1] == "pod/pod-24"


def test_a_missing_object_is_told_in_kubernetes_words(api: Served) -> None:
    assert api.kubectl("get", "pod", "none", fails=True) == (
        'Error from server (NotFound): pods "none" not found\n'
    )
    assert api.kubectl("get", "deploy", "none", fails=True) == (
        'Error from server (NotFound): deployments.apps "none" not found\n'
    )
    assert "the server doesn't have a resource type" in api.kubectl("get", "nonsense", fails=True)


def test_a_secret_is_shown_to_the_operator_but_its_table_tells_only_the_count(api: Served) -> None:
    api.create(a_secret("key", "Y2FuYXJ5"))

    assert api.kubectl("get", "secret", "key", "-o", "jsonpath={.data.key}") == "Y2FuYXJ5"
    assert api.kubectl("get", "secrets", "--no-headers").split()[:3] == ["key", "Opaque", "1"]
    assert "Y2FuYXJ5" not in api.kubectl("describe", "secret", "key")


def test_sorting_is_done_by_the_client_on_whole_objects(api: Served) -> None:
    api.create(a_pod("b"), a_pod("a"))

    lines = api.kubectl("get", "pods", "--sort-by=.metadata.name", "--no-headers").splitlines()

    assert [line.split()[0] for line in lines] == ["a", "b"]


def test_describe_tells_of_pods_deployments_services_and_nodes(api: Served) -> None:
    event: Json = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "web-1.1", "namespace": "default"},
        "involvedObject": {"kind": "Pod", "namespace": "default", "name": "web-1"},
        "reason": "Started",
        "message": "Started container main",
        "type": "Normal",
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "count": 1,
    }
    api.create(a_node("n1"), a_pod("web-1", node="n1", ready=True), a_deployment("web"), a_service("web"))
    pod = json.loads(api.kubectl("get", "pod", "web-1", "-o", "json"))
    api.create({**event, "involvedObject": {**event["involvedObject"], "uid": pod["metadata"]["uid"]}})

    told = api.kubectl("describe", "pod", "web-1")

    assert "Started container main" in told
    assert "IP:               10.77.0.5" in told
    assert "StrategyType:           RollingUpdate" in api.kubectl("describe", "deploy", "web")
    assert "10.78.0.9" in api.kubectl("describe", "service", "web")
    node = api.kubectl("describe", "node", "n1")
    assert "Non-terminated Pods:          (1 in total)" in node
    assert "web-1" in node
    assert "Status:       Active" in api.kubectl("describe", "namespace", "default")


def test_version_cluster_info_api_resources_and_raw_paths_are_answered(api: Served) -> None:
    assert "Server Version: v1.35.0-gitward" in api.kubectl("version")
    assert api.kubectl("get", "--raw", "/readyz") == "ok"
    assert "apiserver_request_total" in api.kubectl("get", "--raw", "/metrics")
    resources = api.kubectl("api-resources", "--no-headers")
    assert "deployments" in resources
    assert "gitsources" in resources
    assert "gitward.io/v1alpha1" in api.kubectl("api-versions").splitlines()


def test_explain_knows_the_fields(api: Served) -> None:
    told = api.kubectl("explain", "deployment.spec.replicas")

    assert "FIELD: replicas <integer>" in told
