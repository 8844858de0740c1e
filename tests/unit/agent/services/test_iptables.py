"""The rules for a service table, and what changes between two. Golden files: read their diff like code."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from agent.services.iptables import (
    Rules,
    render,
    restore_all,
    restore_changes,
    restore_nothing,
)
from agent.services.settings import PeerRange, RuleSettings
from agent.services.table import Backend, ServicePort, ServiceTable, build, by_service

GOLDEN = Path(__file__).parent / "golden"
SETTINGS = RuleSettings(
    pod_cidr="10.77.3.0/24",
    cluster_pod_cidr="10.77.0.0/16",
    service_cidr="10.78.0.0/16",
    gateway="10.77.3.1",
    dns_address="10.78.0.10",
)
EMPTY = {"filter": "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n", "nat": "*nat\nCOMMIT\n"}


@pytest.mark.parametrize(
    "path", sorted(GOLDEN.glob("*.input.yaml")), ids=lambda path: path.name.split(".")[0]
)
def test_rules_of_a_cluster(path: Path, golden: Callable[[Path, str], None]) -> None:
    case = yaml.safe_load(path.read_text())

    table = build(
        case["services"],
        by_service(case["slices"]),
        node="n1",
        service_cidr="10.78.0.0/16",
        reserved=frozenset({"10.78.0.10"}),
    )

    golden(
        path.with_name(path.name.replace(".input.yaml", ".expected.txt")),
        restore_all(render(table, SETTINGS), SETTINGS, EMPTY),
    )


def a_port(
    *addresses: str, name: str = "shop/web", address: str = "10.78.0.20", affinity: int = 0
) -> ServicePort:
    backends = tuple(Backend(each, 8080) for each in addresses)
    return ServicePort(name, "tcp", address, 80, backends, affinity_seconds=affinity)


def rules(*ports: ServicePort) -> Rules:
    return render(ServiceTable(ports), SETTINGS)


def test_an_equal_table_needs_no_change() -> None:
    assert restore_changes(rules(a_port("10.77.4.5")), rules(a_port("10.77.4.5"))) == ""


def test_another_endpoint_touches_only_its_services_chain() -> None:
    other = a_port("10.77.4.9", name="shop/db", address="10.78.0.21")

    text = restore_changes(rules(a_port("10.77.4.5"), other), rules(a_port("10.77.4.5", "10.77.4.6"), other))

    assert text == (
        "*nat\n"
        ":GITWARD-SVC-51F5B554252CEEC6 - [0:0]\n"
        "-A GITWARD-SVC-51F5B554252CEEC6 -p tcp -m statistic --mode random --probability 0.5000000000"
        " -j DNAT --to-destination 10.77.4.5:8080\n"
        "-A GITWARD-SVC-51F5B554252CEEC6 -p tcp -j DNAT --to-destination 10.77.4.6:8080\n"
        "COMMIT\n"
    )


def test_a_service_without_endpoints_loses_its_chain_so_that_calls_are_refused() -> None:
    text = restore_changes(rules(a_port("10.77.4.5")), rules(a_port()))

    assert text == (
        "*nat\n"
        ":GITWARD-SVC-51F5B554252CEEC6 - [0:0]\n"
        '-D GITWARD-SERVICES -d 10.78.0.20/32 -p tcp -m tcp --dport 80 -m comment --comment "shop/web"'
        " -j GITWARD-SVC-51F5B554252CEEC6\n"
        "-X GITWARD-SVC-51F5B554252CEEC6\n"
        "COMMIT\n"
    )


def test_only_pods_of_this_node_get_a_hairpin_rule() -> None:
    assert rules(a_port("10.77.3.5", "10.77.4.5"))["nat"]["GITWARD-HAIRPIN"] == (
        "-s 10.77.3.5/32 -d 10.77.3.5/32 -j SNAT --to-source 10.77.3.1",
    )


def test_what_is_left_of_an_earlier_life_is_removed() -> None:
    saved = {
        "filter": "*filter\nCOMMIT\n",
        "nat": "*nat\n:PREROUTING ACCEPT [0:0]\n:GITWARD-SERVICES - [0:0]\n:GITWARD-SVC-OLD - [0:0]\n"
        "-A PREROUTING -d 10.99.0.0/16 -j GITWARD-SERVICES\n-A GITWARD-SERVICES -j GITWARD-SVC-OLD\nCOMMIT\n",
    }

    text = restore_all(rules(), SETTINGS, saved)

    assert "-D PREROUTING -d 10.99.0.0/16 -j GITWARD-SERVICES" in text
    assert "-I PREROUTING -d 10.78.0.0/16 -j GITWARD-SERVICES" in text
    assert ":GITWARD-SVC-OLD - [0:0]" in text
    assert "-X GITWARD-SVC-OLD" in text


def test_removal_takes_only_what_is_ours() -> None:
    saved = {
        "nat": "*nat\n:PREROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\n:GITWARD-SERVICES - [0:0]\n-A PREROUTING -j DOCKER\n"
        "-A PREROUTING -d 10.78.0.0/16 -j GITWARD-SERVICES\nCOMMIT\n"
    }

    assert restore_nothing(saved) == (
        "*nat\n:GITWARD-SERVICES - [0:0]\n-D PREROUTING -d 10.78.0.0/16 -j GITWARD-SERVICES\n"
        "-X GITWARD-SERVICES\nCOMMIT\n"
    )
    assert restore_nothing({"nat": "*nat\n-A PREROUTING -j DOCKER\nCOMMIT\n"}) == ""


def test_pods_get_packets_of_other_nodes_pods_and_of_the_nodes_and_of_nobody_else() -> None:
    joined = replace(SETTINGS, peers=(PeerRange("10.77.4.0/24", "192.0.2.4"),))

    forward = render(ServiceTable(()), joined)["filter"]["GITWARD-FORWARD"]

    assert forward[-3:] == (
        "-s 10.77.4.0/24 -d 10.77.3.0/24 -j ACCEPT",
        "-s 192.0.2.4/32 -d 10.77.3.0/24 -j ACCEPT",
        "-d 10.77.0.0/16 -j DROP",
    )


def test_only_nodes_may_send_encapsulated_packets() -> None:
    joined = replace(SETTINGS, peers=(PeerRange("10.77.4.0/24", "192.0.2.4"),))

    found = [rule for rule in render(ServiceTable(()), joined)["filter"]["GITWARD-INPUT"] if "8472" in rule]

    assert found == [
        "-s 192.0.2.4/32 -p udp -m udp --dport 8472 -j ACCEPT",
        "-p udp -m udp --dport 8472 -j DROP",
    ]


def test_a_node_that_joins_changes_the_filter_alone() -> None:
    before, after = (
        render(ServiceTable((a_port("10.77.3.4"),)), settings)
        for settings in (SETTINGS, replace(SETTINGS, peers=(PeerRange("10.77.4.0/24", "192.0.2.4"),)))
    )

    text = restore_changes(before, after)

    assert "*nat" not in text
    assert ":GITWARD-REJECT" not in text
