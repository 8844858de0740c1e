"""What the table of services is asked beside what the golden files show."""

from collections.abc import Sequence
from typing import NamedTuple

import pytest

from agent.services.table import by_service, has_others
from gitops.kinds.discovery import Endpoint, EndpointSlice

GOING = "10.77.1.2"


class Case(NamedTuple):
    slices: Sequence[EndpointSlice]
    others: bool


def a_slice(service: str, *endpoints: Endpoint) -> EndpointSlice:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service}-{len(endpoints)}",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "endpoints": list(endpoints),
    }


def at(address: str, *, ready: bool = True) -> Endpoint:
    return {"addresses": [address], "conditions": {"ready": ready, "serving": True}}


GOES = at(GOING, ready=False)
SPEC = {
    "nobody serves anything": Case((), False),
    "it is alone": Case((a_slice("web", GOES),), False),
    "another is ready": Case((a_slice("web", GOES, at("10.77.2.2")),), True),
    "another is ready in a slice of the same service": Case(
        (a_slice("web", GOES), a_slice("web", at("10.77.2.2"), at("10.77.2.3"))),
        True,
    ),
    "the other is not ready": Case((a_slice("web", GOES, at("10.77.2.2", ready=False)),), False),
    "another without conditions counts as ready": Case(
        (a_slice("web", GOES, {"addresses": ["10.77.2.2"]}),), True
    ),
    "it serves nothing": Case((a_slice("web", at("10.77.2.2"), at("10.77.2.3")),), False),
    "another service's pods are no others": Case(
        (a_slice("web", GOES), a_slice("db", at("10.77.2.2"))),
        False,
    ),
}


@pytest.mark.parametrize("case", SPEC.values(), ids=SPEC.keys())
def test_who_else_could_take_a_going_pods_requests(case: Case) -> None:
    assert has_others(by_service(case.slices), GOING) is case.others
