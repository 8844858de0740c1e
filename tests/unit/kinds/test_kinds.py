"""Defaults, rules and rows of every acted-on kind but Pod."""

import base64
from typing import Any

import pytest

from gitops.kinds import schema
from gitops.kinds.apps import DEPLOYMENT
from gitops.kinds.core.config import CONFIG_MAP, SECRET, seal_values
from gitops.kinds.core.event import EVENT
from gitops.kinds.core.namespace import NAMESPACE
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD
from gitops.kinds.core.service import SERVICE
from gitops.kinds.kind import Kind
from gitops.kinds.names import check_metadata
from gitops.kinds.networking import INGRESS
from gitops.kinds.sensitive import Sensitive
from tests.unit.kinds.objects import (
    a_deployment,
    a_pod,
    a_secret,
    a_service,
    an_ingress,
    problems,
    row,
    updates,
)


def test_a_service_is_a_cluster_address_with_equal_ports() -> None:
    assert SERVICE.defaults(a_service())["spec"] == {
        "selector": {"app": "web"},
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        "sessionAffinity": "None",
        "type": "ClusterIP",
        "internalTrafficPolicy": "Cluster",
        "ipFamilyPolicy": "SingleStack",
        "ipFamilies": ["IPv4"],
    }
    assert SERVICE.defaults(a_service(clusterIP="None"))["spec"].get("clusterIPs") == ["None"]


def test_an_external_name_has_neither_policy_nor_family() -> None:
    spec = SERVICE.defaults(a_service(type="ExternalName", externalName="db.example", ports=None))["spec"]

    assert "ipFamilies" not in spec
    assert "internalTrafficPolicy" not in spec


SERVICES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no ports": ({"ports": []}, ["spec.ports: Required value"]),
    "headless without ports": ({"ports": [], "clusterIP": "None"}, []),
    "two ports without names": (
        {"ports": [{"port": 80}, {"port": 81}]},
        ["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"],
    ),
    "one port twice": (
        {"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 80}]},
        ['spec.ports[1]: Duplicate value: {"port":80,"protocol":"TCP"}'],
    ),
    "no such type": (
        {"type": "Cluster"},
        [
            'spec.type: Unsupported value: "Cluster": supported values: "ClusterIP", "ExternalName", "LoadBalancer", '
            '"NodePort"',
        ],
    ),
    "an external name without a name": ({"type": "ExternalName"}, ["spec.externalName: Required value"]),
}


@pytest.mark.parametrize(("spec", "expected"), SERVICES.values(), ids=SERVICES.keys())
def test_services(spec: dict[str, Any], expected: list[str]) -> None:
    assert problems(SERVICE, a_service(**spec)) == expected


def test_a_services_address_stays() -> None:
    assert updates(SERVICE, a_service(clusterIP="10.78.0.5"), a_service(clusterIP="10.78.0.6")) == [
        'spec.clusterIPs[0]: Invalid value: "10.78.0.6": may not change once set'
    ]


def test_a_services_row() -> None:
    shown = row(
        SERVICE, a_service(clusterIP="10.78.0.5", type="NodePort", ports=[{"port": 80, "nodePort": 30080}])
    )

    assert shown["Port(s)"] == "80:30080/TCP"
    assert shown["External-IP"] == "<none>"
    assert shown["Selector"] == "app=web"


def test_a_secrets_clear_text_becomes_sealed_base64_and_wins() -> None:
    secret = SECRET.defaults(a_secret(data={"a": "b2xk", "b": "Yg=="}, stringData={"a": "new"}))

    assert secret.get("data") == {"a": Sensitive(base64.b64encode(b"new")), "b": Sensitive("Yg==")}
    assert "stringData" not in secret
    assert secret["type"] == "Opaque"
    assert SECRET.defaults(secret) is secret
    assert "new" not in repr(secret)


def test_sealing_wraps_the_values_of_a_config_map_and_leaves_the_rest() -> None:
    config: Any = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a"},
        "data": {"k": "v", "n": 1},
    }

    sealed = seal_values(config)

    assert sealed["data"] == {"k": Sensitive("v"), "n": 1}
    assert seal_values(sealed) == sealed
    assert config["data"] == {"k": "v", "n": 1}


SECRETS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "good": ({"stringData": {"a": "b"}}, []),
    "no base64": ({"data": {"a": "b"}}, ["data[a]: Invalid value: illegal base64 data"]),
    "a certificate without a key": (
        {"type": "kubernetes.io/tls", "stringData": {"tls.crt": "c"}},
        ["data[tls.key]: Required value"],
    ),
    "a pull secret that is no JSON": (
        {"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "hunter2"}},
        ["data[.dockerconfigjson]: Invalid value: <secret contents redacted>: must be JSON"],
    ),
    "a key with a slash": (
        {"stringData": {"a/b": "c"}},
        [
            "data[a/b]: Invalid value: \"a/b\": a valid config key must consist of alphanumeric characters, '-', '_' "
            "or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
        ],
    ),
}


@pytest.mark.parametrize(("fields", "expected"), SECRETS.values(), ids=SECRETS.keys())
def test_secrets(fields: dict[str, Any], expected: list[str]) -> None:
    assert problems(SECRET, a_secret(**fields)) == expected


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_base64_in_several_lines_is_taken_as_kubernetes_takes_it(end: str) -> None:
    """Go's decoder passes over line ends, and what it decoded is stored in one line; other white space is none."""
    secret: Any = {**a_secret(), "data": {"a": f"aGVs{end}bG8={end}", "b": Sensitive(f"aGVs{end}bG8=")}}
    config: Any = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a"},
        "data": {"t": f"x{end}"},
        "binaryData": {"a": f"aGVs{end}bG8="},
    }

    stored: Any = SECRET.defaults(secret)
    kept: Any = CONFIG_MAP.defaults(config)

    assert [value.reveal() for value in stored["data"].values()] == [b"aGVsbG8=", b"aGVsbG8="]
    assert (kept["binaryData"], kept["data"]) == ({"a": "aGVsbG8="}, {"t": f"x{end}"})
    assert list(SECRET.check(stored)) == []
    assert list(CONFIG_MAP.check(kept)) == []
    secret["data"] = {"a": "aGVs bG8="}
    (problem,) = SECRET.check(SECRET.defaults(secret))
    assert problem.message == "Invalid value: illegal base64 data"


def test_an_immutable_config_map_keeps_its_values() -> None:
    old: Any = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a"},
        "data": {"k": "v"},
        "immutable": True,
    }

    assert updates(CONFIG_MAP, old, {**old, "metadata": {"name": "a", "labels": {"x": "y"}}}) == []
    assert updates(CONFIG_MAP, old, {**old, "data": {"k": "w"}}) == [
        "data: Forbidden: field is immutable when `immutable` is set"
    ]


def test_a_secrets_type_stays() -> None:
    assert updates(SECRET, a_secret(), a_secret(type="shop.example/x")) == [
        'type: Invalid value: "shop.example/x": field is immutable'
    ]


def test_a_namespace_is_active_and_labelled_with_its_name() -> None:
    namespace = NAMESPACE.defaults(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}, "spec": {}}
    )

    assert namespace["metadata"].get("labels") == {"kubernetes.io/metadata.name": "shop"}
    assert namespace["spec"] == {"finalizers": ["kubernetes"]}
    assert namespace.get("status") == {"phase": "Active"}
    assert NAMESPACE.defaults(namespace) is namespace


def test_a_nodes_allocatable_is_its_capacity_unless_it_says_otherwise() -> None:
    node: Any = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "n"},
        "status": {"capacity": {"cpu": "2000m"}},
    }

    assert NODE.defaults(node).get("status") == {"capacity": {"cpu": "2"}, "allocatable": {"cpu": "2"}}


def test_a_nodes_row() -> None:
    node: Any = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "n", "labels": {"node-role.kubernetes.io/worker": ""}},
        "spec": {"unschedulable": True},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
        },
    }

    shown = row(NODE, node)

    assert (shown["Status"], shown["Roles"]) == ("Ready,SchedulingDisabled", "worker")
    assert (shown["Internal-IP"], shown["External-IP"], shown["OS-Image"]) == (
        "192.0.2.1",
        "<none>",
        "<unknown>",
    )


def test_an_events_row_names_its_object() -> None:
    event: Any = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "web.1", "namespace": "shop"},
        "involvedObject": {"kind": "Pod", "name": "web", "namespace": "shop"},
        "type": "Warning",
        "reason": "BackOff",
        "message": "back-off\n",
        "firstTimestamp": "2026-01-01T11:00:00Z",
        "lastTimestamp": "2026-01-01T11:59:00Z",
        "count": 4,
        "source": {"component": "agent", "host": "n1"},
    }

    shown = row(EVENT, event)

    assert (shown["Last Seen"], shown["First Seen"], shown["Count"]) == ("60s", "60m", 4)
    assert (shown["Object"], shown["Source"], shown["Message"]) == ("pod/web", "agent, n1", "back-off")
    assert problems(EVENT, {**event, "metadata": {"name": "a", "namespace": "other"}}) == [
        'involvedObject.namespace: Invalid value: "shop": does not match event.namespace'
    ]


def test_names_labels_and_annotations_follow_kubernetes_rules() -> None:
    bad = a_pod(meta={"name": "Web", "labels": {"a b": "c", "d": "-"}, "annotations": {"x/y/z": ""}})

    fields = [problem.field for problem in check_metadata(POD, bad)]

    assert fields == ["metadata.name", "metadata.labels", "metadata.labels", "metadata.annotations"]
    assert list(check_metadata(POD, a_pod(meta={"name": "web.1-a"}))) == []
    service: Any = {**a_service(), "metadata": {"name": "1a", "namespace": "b"}}
    assert [one.field for one in check_metadata(SERVICE, service)] == ["metadata.name"]
    generated: Any = {**a_pod(), "metadata": {"generateName": "web-", "namespace": "shop"}}
    assert list(check_metadata(POD, generated)) == []


def test_every_manifest_of_these_tests_has_the_official_shape() -> None:
    shown: list[tuple[Kind[Any], Any]] = [
        (SERVICE, a_service()),
        (SECRET, a_secret()),
        (DEPLOYMENT, a_deployment()),
        (INGRESS, an_ingress()),
    ]

    assert [schema.violations(kind, obj) for kind, obj in shown] == [[], [], [], []]


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"ipFamilies": ["IPv4"], "ipFamilyPolicy": "PreferDualStack"}, []),
        (
            {"ipFamilies": ["IPv6"]},
            ['spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'],
        ),
        (
            {"ipFamilyPolicy": "RequireDualStack"},
            [
                'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack '
                "services"
            ],
        ),
        ({"ipFamilies": ["IPv6"], "clusterIP": "None", "selector": {}}, []),
    ],
)
def test_a_service_asks_for_no_family_that_is_not_there(spec: dict[str, object], told: list[str]) -> None:
    assert problems(SERVICE, a_service(**spec)) == told
