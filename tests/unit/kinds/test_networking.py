"""Ingresses and endpoint slices: defaults, rules and rows."""

from typing import Any

import pytest

from gitops.kinds import schema
from gitops.kinds.discovery import ENDPOINT_SLICE
from gitops.kinds.networking import INGRESS
from tests.unit.kinds.objects import an_ingress, problems, row, updates

INGRESSES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "good": ({}, []),
    "nothing at all": (
        {"rules": []},
        ["spec: Invalid value: []: either `defaultBackend` or `rules` must be specified"],
    ),
    "an address for a host": (
        {"rules": [{"host": "192.0.2.1"}]},
        ['spec.rules[0].host: Invalid value: "192.0.2.1": must be a DNS name, not an IP address'],
    ),
    "a relative path": (
        {
            "rules": [
                {
                    "http": {
                        "paths": [
                            {
                                "path": "a",
                                "pathType": "Prefix",
                                "backend": {"service": {"name": "w", "port": {"number": 1}}},
                            }
                        ]
                    }
                }
            ]
        },
        ['spec.rules[0].http.paths[0].path: Invalid value: "a": must be an absolute path'],
    ),
    "a class that is no name": (
        {"ingressClassName": "Web Front"},
        [
            'spec.ingressClassName: Invalid value: "Web Front": a lowercase RFC 1123 subdomain must consist of lower '
            "case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. "
            "'example.com', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
    "a backend without a port": (
        {"defaultBackend": {"service": {"name": "w"}}},
        ["spec.defaultBackend.service.port: Required value: port name or number is required"],
    ),
}


@pytest.mark.parametrize(("spec", "expected"), INGRESSES.values(), ids=INGRESSES.keys())
def test_ingresses(spec: dict[str, Any], expected: list[str]) -> None:
    assert problems(INGRESS, an_ingress(**spec)) == expected


def test_an_ingress_of_another_proxys_class_is_told_to_wait() -> None:
    (told,) = schema.warnings(INGRESS, an_ingress(ingressClassName="nginx"))

    assert told == (
        "spec.ingressClassName: Gitward's own proxy serves the class gitward and Ingresses that name none, so this "
        "one waits for another controller"
    )


@pytest.mark.parametrize("spec", [{}, {"ingressClassName": "gitward"}])
def test_an_ingress_of_ours_is_not_warned_of(spec: dict[str, str]) -> None:
    assert schema.warnings(INGRESS, an_ingress(**spec)) == []


def test_an_ingresss_row_counts_hosts_beyond_three() -> None:
    shown = row(INGRESS, an_ingress(rules=[{"host": f"{name}.example"} for name in "abcde"], tls=[{}]))

    assert shown["Hosts"] == "a.example,b.example,c.example + 2 more..."
    assert shown["Ports"] == "80, 443"
    assert row(INGRESS, an_ingress())["Class"] == "<none>"


def test_an_endpoint_slice() -> None:
    endpoint_slice: Any = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "web-abcde", "namespace": "shop"},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.77.0.2"]}, {"addresses": ["10.77.0.3"]}],
        "ports": [{"port": 80}],
    }

    assert ENDPOINT_SLICE.defaults(endpoint_slice).get("ports") == [
        {"port": 80, "name": "", "protocol": "TCP"}
    ]
    assert problems(ENDPOINT_SLICE, endpoint_slice) == []
    assert row(ENDPOINT_SLICE, endpoint_slice)["Endpoints"] == "10.77.0.2,10.77.0.3"
    assert updates(ENDPOINT_SLICE, endpoint_slice, {**endpoint_slice, "addressType": "IPv6"}) == [
        'addressType: Invalid value: "IPv6": field is immutable'
    ]
