"""What a query for a name of the cluster gets. Source of the cases: Kubernetes DNS-Based Service Discovery 1.1.0."""

from typing import Any

import dns.message
import dns.rcode
import pytest

from agent.dns import build
from agent.dns.answers import Answered, Zone
from agent.services.table import by_service


def a_service(name: str, **spec: object) -> Any:
    ports = [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]
    base = {"type": "ClusterIP", "sessionAffinity": "None", "ports": ports}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": "shop", "name": name},
        "spec": {**base, **spec},
    }


def a_slice(service: str, *endpoints: dict[str, object]) -> Any:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"namespace": "shop", "name": service, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": list(endpoints),
    }


SERVICES = [
    a_service("web", clusterIP="10.78.0.20"),
    a_service("db", clusterIP="None"),
    a_service("all", clusterIP="None", publishNotReadyAddresses=True),
    a_service("empty", clusterIP="None"),
    a_service("out", type="ExternalName", externalName="example.org"),
    a_service("alias", type="ExternalName", externalName="web.shop.svc.cluster.local"),
]
ENDPOINTS: tuple[dict[str, object], ...] = (
    {"addresses": ["10.77.0.4"], "hostname": "db-0", "conditions": {"ready": True}},
    {"addresses": ["10.77.0.5"], "conditions": {"ready": True}},
    {"addresses": ["10.77.0.6"], "conditions": {"ready": False}},
)
ZONE = Zone(
    build(
        SERVICES,
        by_service([a_slice("db", *ENDPOINTS), a_slice("all", *ENDPOINTS)]),
        pod_cidr="10.77.0.0/16",
        service_cidr="10.78.0.0/16",
        upstreams=(),
    )
)


def ask(name: str, rdtype: str = "A") -> Answered | None:
    return ZONE.answer(dns.message.make_query(name, rdtype))


def records(name: str, rdtype: str = "A") -> list[str]:
    answered = ask(name, rdtype)
    assert answered is not None
    return [f"{rdata.rdtype.name} {rdata}" for rrset in answered.response.answer for rdata in rrset]


ANSWERS = {
    "a service's address": ("web.shop.svc.cluster.local", "A", ["A 10.78.0.20"]),
    "whatever the case": ("WEB.shop.SVC.cluster.local", "A", ["A 10.78.0.20"]),
    "a headless service's ready pods": ("db.shop.svc.cluster.local", "A", ["A 10.77.0.4", "A 10.77.0.5"]),
    "all pods where that is asked for": (
        "all.shop.svc.cluster.local",
        "A",
        ["A 10.77.0.4", "A 10.77.0.5", "A 10.77.0.6"],
    ),
    "a pod by its host name": ("db-0.db.shop.svc.cluster.local", "A", ["A 10.77.0.4"]),
    "a pod by its address": ("10-77-0-5.db.shop.svc.cluster.local", "A", ["A 10.77.0.5"]),
    "a pod's dashed name": ("10-77-0-9.shop.pod.cluster.local", "A", ["A 10.77.0.9"]),
    "a port of a service": (
        "_http._tcp.web.shop.svc.cluster.local",
        "SRV",
        ["SRV 0 100 80 web.shop.svc.cluster.local."],
    ),
    "a port of each pod": (
        "_http._tcp.db.shop.svc.cluster.local",
        "SRV",
        [
            "SRV 0 50 8080 10-77-0-5.db.shop.svc.cluster.local.",
            "SRV 0 50 8080 db-0.db.shop.svc.cluster.local.",
        ],
    ),
    "an address's service": ("20.0.78.10.in-addr.arpa", "PTR", ["PTR web.shop.svc.cluster.local."]),
    "a named pod's address": ("4.0.77.10.in-addr.arpa", "PTR", None),
    "the version of the schema": ("dns-version.cluster.local", "TXT", ['TXT "1.1.0"']),
    "an alias within the cluster": (
        "alias.shop.svc.cluster.local",
        "A",
        ["CNAME web.shop.svc.cluster.local.", "A 10.78.0.20"],
    ),
    "an alias itself": ("out.shop.svc.cluster.local", "CNAME", ["CNAME example.org."]),
}


@pytest.mark.parametrize(("name", "rdtype", "wanted"), ANSWERS.values(), ids=ANSWERS.keys())
def test_known_names(name: str, rdtype: str, wanted: list[str] | None) -> None:
    found = sorted(records(name, rdtype), key=lambda text: (not text.startswith("CNAME"), text))

    if wanted is None:
        assert found == ["PTR db-0.all.shop.svc.cluster.local.", "PTR db-0.db.shop.svc.cluster.local."]
    else:
        assert found == wanted


@pytest.mark.parametrize(
    ("name", "rdtype", "rcode"),
    [
        ("nobody.shop.svc.cluster.local", "A", dns.rcode.NXDOMAIN),
        ("example.com.shop.svc.cluster.local", "A", dns.rcode.NXDOMAIN),
        ("8-8-8-8.shop.pod.cluster.local", "A", dns.rcode.NXDOMAIN),
        ("9.9.77.10.in-addr.arpa", "PTR", dns.rcode.NXDOMAIN),
        ("web.shop.svc.cluster.local", "AAAA", dns.rcode.NOERROR),
        ("shop.svc.cluster.local", "A", dns.rcode.NOERROR),
        ("cluster.local", "A", dns.rcode.NOERROR),
        ("empty.shop.svc.cluster.local", "A", dns.rcode.NOERROR),
    ],
)
def test_unknown_names_are_denied_and_known_ones_without_data_are_not(
    name: str, rdtype: str, rcode: dns.rcode.Rcode
) -> None:
    answered = ask(name, rdtype)

    assert answered is not None
    assert answered.response.rcode() == rcode
    assert answered.response.answer == []
    assert [rrset.rdtype.name for rrset in answered.response.authority] == ["SOA"]


def test_an_answer_lives_five_seconds_and_is_authoritative() -> None:
    answered = ask("web.shop.svc.cluster.local")

    assert answered is not None
    assert answered.response.answer[0].ttl == 5
    assert answered.response.flags & dns.flags.AA


def test_an_external_name_is_to_be_chased_outside() -> None:
    answered = ask("out.shop.svc.cluster.local")

    assert answered is not None
    assert answered.chase == "example.org"


@pytest.mark.parametrize("name", ["example.org", "cluster.localhost", "1.1.168.192.in-addr.arpa"])
def test_what_is_not_the_clusters_is_forwarded(name: str) -> None:
    assert ask(name) is None
