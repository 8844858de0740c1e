"""Which iptables is in use, and what conntrack says."""

import pytest

from agent.services.backend import choose
from agent.services.conntrack import Flow, Forgotten, gone_udp, open_flows, parse
from agent.services.table import Backend, ServicePort, ServiceTable


@pytest.mark.parametrize(
    ("default_is_legacy", "legacy_has_rules", "nft_has_rules", "program"),
    [
        (False, False, False, "iptables"),
        (False, False, True, "iptables"),
        (False, True, True, "iptables"),
        (False, True, False, "iptables-legacy"),
        (True, True, False, "iptables"),
        (True, False, True, "iptables-nft"),
    ],
)
def test_the_backend_that_others_use_is_taken(
    default_is_legacy: bool, legacy_has_rules: bool, nft_has_rules: bool, program: str
) -> None:
    assert (
        choose(
            default_is_legacy=default_is_legacy,
            legacy_has_rules=legacy_has_rules,
            nft_has_rules=nft_has_rules,
        )
        == program
    )


LISTED = """\
tcp      6 86399 ESTABLISHED src=10.77.0.9 dst=10.78.0.5 sport=4 dport=80 src=10.77.0.2 dst=10.77.0.9 sport=80 dport=4 [ASSURED] mark=0 use=1
tcp      6 119 TIME_WAIT src=10.77.0.9 dst=10.78.0.5 sport=5 dport=80 src=10.77.0.2 dst=10.77.0.9 sport=80 dport=5 [ASSURED] mark=0 use=1
tcp      6 86399 ESTABLISHED src=10.77.0.1 dst=10.77.0.2 sport=6 dport=80 src=10.77.0.2 dst=10.77.0.1 sport=80 dport=6 [ASSURED] mark=0 use=1
"""  # noqa: E501 # As conntrack prints it.


def test_flows_are_read_as_the_caller_asked() -> None:
    assert list(parse(LISTED)) == [
        Flow("ESTABLISHED", "10.77.0.9", "10.78.0.5"),
        Flow("TIME_WAIT", "10.77.0.9", "10.78.0.5"),
        Flow("ESTABLISHED", "10.77.0.1", "10.77.0.2"),
    ]


def test_closed_flows_and_the_nodes_own_do_not_count_as_open() -> None:
    assert open_flows(parse(LISTED), "10.77.0.2", gateway="10.77.0.1") == 1


def a_table(protocol: str, *addresses: str) -> ServiceTable:
    backends = tuple(Backend(address, 53) for address in addresses)
    return ServiceTable((ServicePort("a/dns", protocol, "10.78.0.9", 53, backends),))


def test_a_udp_backend_that_left_is_to_be_forgotten() -> None:
    old, new = a_table("udp", "10.77.0.2", "10.77.0.3"), a_table("udp", "10.77.0.3")

    assert gone_udp(old, new) == [Forgotten("10.78.0.9", 53, "10.77.0.2")]
    assert gone_udp(old, ServiceTable()) == [
        Forgotten("10.78.0.9", 53, "10.77.0.2"),
        Forgotten("10.78.0.9", 53, "10.77.0.3"),
    ]


def test_tcp_backends_finish_what_they_have() -> None:
    assert gone_udp(a_table("tcp", "10.77.0.2"), ServiceTable()) == []
