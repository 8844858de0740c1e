"""Real kubectl asks for autoscaling/v1 and events.k8s.io/v1: read, written, patched, applied, watched, found."""

import json
from typing import Any

from gitops.kinds import registry
from gitops.kinds.core.event import EVENT
from tests.integration.api.served import Served
from tests.integration.api.test_kubectl_writes import a_file

HPA = registry.find("autoscaling", "HorizontalPodAutoscaler")
assert HPA is not None
NAMED = ("horizontalpodautoscalers.v1.autoscaling", "web")
V1 = """\
apiVersion: autoscaling/v1
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 1
  maxReplicas: 10
  targetCPUUtilizationPercentage: 50
"""
SHOWN_EVENT = """\
apiVersion: events.k8s.io/v1
kind: Event
metadata: {name: web.1}
eventTime: "2026-01-01T12:00:00.000000Z"
reportingController: example.com/ship
reportingInstance: ship-0
action: Sail
reason: Wind
type: Normal
note: it blows
regarding: {kind: Pod, name: web, namespace: default}
"""


def stored(api: Served) -> Any:
    assert HPA is not None
    return api.found(HPA, "default", "web")


def test_an_autoscaler_of_v1_is_applied_changed_and_read_in_both_versions(api: Served) -> None:
    assert "created" in api.kubectl("apply", "-f", a_file(api, V1))
    assert stored(api)["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 50
    assert "unchanged" in api.kubectl("apply", "-f", a_file(api, V1))
    assert "configured" in api.kubectl("apply", "-f", a_file(api, V1.replace("50", "80")))

    v1 = json.loads(api.kubectl("get", *NAMED, "-o", "json"))
    v2 = json.loads(api.kubectl("get", "hpa", "web", "-o", "json"))

    assert (v1["apiVersion"], v1["spec"]["targetCPUUtilizationPercentage"]) == ("autoscaling/v1", 80)
    assert v2["apiVersion"] == "autoscaling/v2"
    assert v2["spec"]["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 80}


def test_patches_and_server_side_apply_speak_the_version_of_their_url(api: Served) -> None:
    api.kubectl("create", "-f", a_file(api, V1))

    api.kubectl(
        "patch",
        "horizontalpodautoscalers.v1.autoscaling",
        "web",
        "-p",
        '{"spec": {"targetCPUUtilizationPercentage": 70}}',
    )
    assert stored(api)["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 70

    text = V1.replace("maxReplicas: 10", "maxReplicas: 12").replace("50", "60")
    api.kubectl("apply", "--server-side", "--force-conflicts", "-f", a_file(api, text))
    assert stored(api)["spec"]["maxReplicas"] == 12
    assert stored(api)["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 60

    listed = json.loads(api.kubectl("get", "--raw", "/apis/autoscaling/v1/horizontalpodautoscalers"))
    assert (listed["apiVersion"], listed["kind"]) == ("autoscaling/v1", "HorizontalPodAutoscalerList")
    assert listed["items"][0]["spec"]["targetCPUUtilizationPercentage"] == 60

    api.kubectl("delete", *NAMED)
    assert stored(api) is None


def test_a_field_of_another_version_is_refused_in_words(api: Served) -> None:
    refused = api.kubectl("create", "--validate=false", "-f", a_file(api, V1 + "  metrics: []\n"), fails=True)

    assert "spec.metrics: not a field of autoscaling/v1, but of autoscaling/v2" in refused


def test_an_event_of_its_own_group_is_the_event_of_the_core_group(api: Served) -> None:
    api.kubectl("create", "-f", a_file(api, SHOWN_EVENT))

    core: Any = api.found(EVENT, "default", "web.1")
    assert (core["message"], core["involvedObject"]["name"]) == ("it blows", "web")
    found = json.loads(api.kubectl("get", "events.events.k8s.io", "web.1", "-o", "json"))
    assert (found["note"], found["reportingController"]) == ("it blows", "example.com/ship")
    selected = api.kubectl(
        "get", "events.events.k8s.io", "--field-selector", "regarding.name=web", "-o", "name"
    )
    assert selected == "event.events.k8s.io/web.1\n"

    api.kubectl("patch", "events.events.k8s.io", "web.1", "--type=merge", "-p", '{"note": "it storms"}')
    assert api.found(EVENT, "default", "web.1")["message"] == "it storms"
    assert "it storms" in api.kubectl("get", "events")


def test_a_watch_tells_each_version_in_its_words(api: Served) -> None:
    api.kubectl("create", "-f", a_file(api, SHOWN_EVENT))

    lines = [
        json.loads(api.kubectl("get", "--raw", f"{path}?watch=true&timeoutSeconds=1").splitlines()[0])[
            "object"
        ]
        for path in ("/apis/events.k8s.io/v1/namespaces/default/events", "/api/v1/namespaces/default/events")
    ]

    assert [(line["apiVersion"], "note" in line) for line in lines] == [
        ("events.k8s.io/v1", True),
        ("v1", False),
    ]


def test_discovery_and_explain_know_them(api: Served) -> None:
    assert "autoscaling/v1" in api.kubectl("api-versions").splitlines()
    assert "events.k8s.io/v1" in api.kubectl("api-versions").splitlines()
    explained = api.kubectl("explain", "hpa.spec", "--api-version=autoscaling/v1")
    assert "targetCPUUtilizationPercentage" in explained
    group = json.loads(api.kubectl("get", "--raw", "/apis/autoscaling"))
    assert group["preferredVersion"]["version"] == "v2"
