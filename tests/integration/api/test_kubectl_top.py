"""Real kubectl top, and the pages of a node that Prometheus scrapes, through the master."""

import json
from time import monotonic, sleep
from typing import Any

from tests.integration.api.builders import a_node
from tests.integration.api.pods_of import NODE, PATIENCE_SECONDS, a_running_pod
from tests.integration.api.served import Served

METRICS = "/apis/metrics.k8s.io/v1beta1"


def pods_used(api: Served, query: str = "") -> list[Any]:
    """What is told of pods, once a rate is known."""
    end = monotonic() + PATIENCE_SECONDS
    while True:
        items: list[Any] = json.loads(api.kubectl("get", "--raw", f"{METRICS}/pods{query}"))["items"]
        if items or monotonic() > end:
            return items
        sleep(0.2)


def test_top_tells_what_pods_and_nodes_use(api: Served) -> None:
    api.create(a_node(NODE))
    with a_running_pod(api):
        (used,) = pods_used(api)

        assert used["metadata"]["labels"] == {"app": "web"}
        assert [one["name"] for one in used["containers"]] == ["app"]
        assert used["containers"][0]["usage"]["memory"] == "65536Ki"
        line = api.kubectl("top", "pods", "-n", "shop", "--no-headers").split()
        assert line[0] == "web"
        assert 100 <= int(line[1].removesuffix("m")) <= 1_000
        assert line[2] == "64Mi"
        assert api.kubectl("top", "pod", "web", "-n", "shop", "--containers", "--no-headers").split()[:2] == [
            "web",
            "app",
        ]
        assert api.kubectl("top", "pods", "-A", "-l", "app=other", both=True) == "No resources found\n"
        node = api.kubectl("top", "nodes", "--no-headers").split()
        assert node[0] == NODE
        assert node[2].endswith("%")


def test_what_is_not_there_is_told(api: Served) -> None:
    api.create(a_node("away"))
    with a_running_pod(api):
        assert 'pods.metrics.k8s.io "no" not found' in api.kubectl(
            "get", "--raw", f"{METRICS}/namespaces/shop/pods/no", fails=True
        )
        page = "/api/v1/nodes/away/proxy/stats/summary"
        assert "not found" in api.kubectl(
            "get", "--raw", "/api/v1/nodes/none/proxy/stats/summary", fails=True
        )
        assert "node away is not connected" in api.kubectl("get", "--raw", page, fails=True)


def test_the_pages_of_a_node_are_reached_through_the_master(api: Served) -> None:
    api.create(a_node(NODE))
    page = f"/api/v1/nodes/{NODE}/proxy"
    with a_running_pod(api):
        assert pods_used(api)
        told = api.kubectl("get", "--raw", f"{page}/metrics/cadvisor")
        summary = json.loads(api.kubectl("get", "--raw", f"{page}/stats/summary"))

        assert 'container_memory_working_set_bytes{container="app",namespace="shop",pod="web",' in told
        assert summary["node"]["nodeName"] == NODE
        assert [pod["podRef"]["name"] for pod in summary["pods"]] == ["web"]
        assert summary["pods"][0]["memory"]["workingSetBytes"] == 64 << 20
        assert "node_cpu_usage_seconds_total" in api.kubectl("get", "--raw", f"{page}/metrics/resource")
        assert (
            'kube_pod_container_status_restarts_total{namespace="shop",pod="web",container="app"} 0'
            in api.kubectl("get", "--raw", f"{page}/metrics")
        )
        assert "a node answers /stats/summary" in api.kubectl("get", "--raw", f"{page}/exec/x", fails=True)


def test_a_node_does_not_read_what_others_use(api: Served) -> None:
    api.create(a_node(NODE), a_node("n2"))
    with a_running_pod(api):
        for path in (f"{METRICS}/pods", f"{METRICS}/nodes", f"/api/v1/nodes/{NODE}/proxy/stats/summary"):
            assert "forbidden" in api.kubectl("get", "--raw", path, node="n2", fails=True).lower()
