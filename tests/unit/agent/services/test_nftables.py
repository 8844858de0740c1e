"""The nat part as nftables maps, and what changes between two."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from agent.services.nftables import changes, load_all
from agent.services.settings import RuleSettings
from agent.services.slots import fill, slots_of, sticky_slots_of
from agent.services.table import Backend, HostPort, OutsidePort, ServicePort, ServiceTable

SETTINGS = RuleSettings(
    pod_cidr="10.77.3.0/24",
    cluster_pod_cidr="10.77.0.0/16",
    service_cidr="10.78.0.0/16",
    gateway="10.77.3.1",
    dns_address="10.78.0.10",
)
A, B = Backend("10.77.3.2", 8080), Backend("10.77.4.3", 8080)


def a_table(*backends: Backend, affinity: int = 0) -> ServiceTable:
    port = ServicePort("shop/web", "tcp", "10.78.0.20", 80, backends, affinity_seconds=affinity)
    return ServiceTable((port, ServicePort("shop/db", "tcp", "10.78.0.21", 5432, (B,))))


def changed(old: ServiceTable, new: ServiceTable) -> list[str]:
    return changes(old, new, SETTINGS).splitlines()


def test_an_equal_table_needs_no_change() -> None:
    assert changed(a_table(A, B), a_table(A, B)) == []


def test_another_endpoint_touches_only_the_elements_of_its_service() -> None:
    assert changed(a_table(B), a_table(B, A)) == [
        "delete element ip gitward ep1 { 10.78.0.20 . tcp . 80 . 0 }",
        "add element ip gitward ep2 { 10.78.0.20 . tcp . 80 . 0 : 10.77.4.3 . 8080, "
        "10.78.0.20 . tcp . 80 . 1 : 10.77.3.2 . 8080 }",
        "add element ip gitward hairpin { 10.77.3.2 . 10.77.3.2 }",
    ]


def test_a_service_without_endpoints_has_no_elements_so_that_calls_are_refused() -> None:
    assert changed(a_table(B), a_table()) == ["delete element ip gitward ep1 { 10.78.0.20 . tcp . 80 . 0 }"]


def test_a_pod_behind_two_services_stays_in_the_set_of_those_that_call_themselves() -> None:
    both = ServiceTable((*a_table(A).ports, ServicePort("shop/api", "tcp", "10.78.0.22", 80, (A,))))

    assert [line for line in changed(both, a_table(A)) if "hairpin" in line] == []
    assert [line for line in changed(a_table(A), both) if "hairpin" in line] == []
    assert "delete element ip gitward hairpin { 10.77.3.2 . 10.77.3.2 }" in changed(a_table(A), a_table())


def test_a_way_in_comes_with_its_chain_and_goes_with_it() -> None:
    way = OutsidePort("shop/web", "tcp", "", 30_080, (A,), (A, B), keeps_caller=True)
    opened = changed(a_table(A), replace(a_table(A), outside=(way,)))
    closed = changed(replace(a_table(A), outside=(way,)), a_table(A))

    assert (
        "add rule ip gitward way-b27ea7e5c3ec4c3a fib saddr type local meta mark set meta mark | 0x4000"
        in [
            line.replace(line.split()[4], "way-b27ea7e5c3ec4c3a") if " way-" in line else line
            for line in opened
        ]
    )
    assert sum(line.startswith("add chain ") for line in opened) == 2
    assert sum(line.startswith("delete chain ") for line in closed) == 2
    assert [line for line in closed if line.startswith("delete element")] == [
        "delete element ip gitward nodeports { tcp . 30080 }"
    ]
    # An element that leads to a chain goes before the chain does.
    assert closed.index("delete element ip gitward nodeports { tcp . 30080 }") < min(
        index for index, line in enumerate(closed) if line.startswith("delete chain")
    )


def test_a_port_of_the_node_leads_to_its_pod() -> None:
    table = replace(a_table(A), host_ports=(HostPort("udp", "", 53, A), HostPort("tcp", "192.0.2.1", 80, B)))

    text = load_all(table, SETTINGS)

    assert "add element ip gitward hostports { udp . 53 : 10.77.3.2 . 8080 }" in text
    assert "add element ip gitward hostports-at { 192.0.2.1 . tcp . 80 : 10.77.4.3 . 8080 }" in text
    assert text.startswith("table ip gitward\ndelete table ip gitward\ntable ip gitward {\n")


some_backends = st.sets(
    st.builds(Backend, st.integers(1, 254).map(lambda host: f"10.77.9.{host}"), st.integers(1, 9)),
    min_size=1,
    max_size=60,
).map(lambda found: tuple(sorted(found)))


@given(backends=some_backends)
def test_every_endpoint_has_its_share_of_the_slots(backends: tuple[Backend, ...]) -> None:
    for slots in (slots_of(len(backends)), sticky_slots_of(len(backends))):
        filled = fill(backends, slots)
        shares = sorted(filled.count(one) for one in backends)

        assert len(filled) == slots
        assert shares[-1] - shares[0] <= 1
        assert shares[0] >= 1


@given(backends=some_backends, gone=st.integers(0, 59))
def test_one_endpoint_less_moves_few_callers(backends: tuple[Backend, ...], gone: int) -> None:
    if len(backends) < 4 or gone >= len(backends):
        return
    slots = sticky_slots_of(len(backends))
    left = backends[:gone] + backends[gone + 1 :]

    before, after = fill(backends, slots), fill(left, slots)

    moved = sum(one != other for one, other in zip(before, after, strict=True))
    assert moved <= slots * 0.75
