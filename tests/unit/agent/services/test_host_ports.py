"""Ports of the node that lead to one pod, and the label that remembers them."""

from hypothesis import given
from hypothesis import strategies as st

from agent.pods.names import host_ports
from agent.services.host_ports import from_label, to_label
from agent.services.iptables import HOSTPORTS, render
from agent.services.settings import RuleSettings
from agent.services.table import Backend, HostPort, ServiceTable
from tests.agent_world import a_pod

SETTINGS = RuleSettings(
    pod_cidr="10.77.3.0/24",
    cluster_pod_cidr="10.77.0.0/16",
    service_cidr="10.78.0.0/16",
    gateway="10.77.3.1",
    dns_address="10.78.0.10",
)
WEB = HostPort("tcp", "", 8088, Backend("10.77.3.2", 80))
NAME = HostPort("udp", "192.0.2.1", 5353, Backend("10.77.3.2", 53))
PORTS = st.builds(
    HostPort,
    st.sampled_from(["tcp", "udp", "sctp"]),
    st.ip_addresses(v=4).map(str) | st.just(""),
    st.integers(1, 65_535),
    st.builds(Backend, st.ip_addresses(v=4).map(str), st.integers(1, 65_535)),
)


def test_app_containers_and_sidecars_publish_what_they_say() -> None:
    web = {"containerPort": 80, "hostPort": 8088, "hostIP": "0.0.0.0"}  # As manifests have it.
    name = {"containerPort": 53, "hostPort": 5353, "hostIP": "192.0.2.1", "protocol": "UDP"}
    pod = a_pod(
        initContainers=[{"name": "side", "image": "a:1", "restartPolicy": "Always", "ports": [name]}],
        containers=[{"name": "app", "image": "a:1", "ports": [web, {"containerPort": 90}]}],
    )

    assert host_ports(pod, "10.77.3.2") == (WEB, NAME)


def test_rules_send_a_port_of_the_node_on_but_for_dns_and_loopback() -> None:
    rules = render(ServiceTable(host_ports=(WEB, NAME)), SETTINGS)

    assert rules["nat"][HOSTPORTS] == (
        "-d 10.78.0.0/16 -j RETURN",
        "-d 127.0.0.0/8 -j RETURN",
        "-p tcp -m tcp --dport 8088 -j DNAT --to-destination 10.77.3.2:80",
        "-d 192.0.2.1/32 -p udp -m udp --dport 5353 -j DNAT --to-destination 10.77.3.2:53",
    )


def test_nothing_is_let_in_while_nothing_is_published() -> None:
    rules = render(ServiceTable(), SETTINGS)

    assert rules["nat"][HOSTPORTS] == ()
    assert not any("ctorigdst" in rule for chain in rules["filter"].values() for rule in chain)


@given(st.lists(PORTS, max_size=5))
def test_a_label_remembers_every_port(ports: list[HostPort]) -> None:
    assert from_label(to_label(ports)) == tuple(ports)


@given(st.text(alphabet="tcp,;0123456789.-x", max_size=60))
def test_a_label_that_somebody_wrote_is_ports_or_none(text: str) -> None:
    assert all(port.port >= 0 for port in from_label(text))
