"""Which server line holds which endpoint, and the commands from one state to the next."""

from hypothesis import given
from hypothesis import strategies as st

from agent.ingress.runtime import count_used, parse_slots, parse_workers
from agent.ingress.slots import EMPTY, Slot, assign, commands, slots_for
from agent.services.table import Backend

A, B, C = (Backend(f"10.77.0.{host}", 80) for host in (2, 3, 4))


def test_a_new_backend_has_room_for_a_roll() -> None:
    assert assign((), (A, B)) == (Slot(A, active=True), Slot(B, active=True), EMPTY, EMPTY)


def test_who_stays_keeps_the_line_and_who_left_keeps_it_switched_off() -> None:
    now = assign((), (A, B))

    assert assign(now, (B, C)) == (Slot(A, active=False), Slot(B, active=True), Slot(C, active=True), EMPTY)


def test_lines_of_those_who_left_are_used_when_no_other_is_free() -> None:
    now = (
        Slot(A, active=False),
        Slot(B, active=True),
        Slot(C, active=True),
        Slot(A._replace(port=81), active=True),
    )
    wanted = (B, C)

    assert assign(now, (*wanted, A._replace(port=81))[:3])[0] == Slot(A, active=False)
    new = Backend("10.77.0.9", 80)
    assert assign(now, (B, new))[0] == Slot(new, active=True)


def test_room_grows_in_powers_of_two() -> None:
    assert [slots_for(count) for count in (0, 2, 3, 6, 7, 30)] == [4, 4, 8, 8, 16, 32]


def test_those_who_come_are_switched_on_before_others_go() -> None:
    now = {"shop_web_80": assign((), (A,))}
    wanted = {"shop_web_80": assign(now["shop_web_80"], (B,))}

    assert commands(now, wanted) == [
        "set server shop_web_80/s2 addr 10.77.0.3 port 80",
        "set server shop_web_80/s2 state ready",
        "set server shop_web_80/s1 state maint",
    ]
    assert commands(wanted, wanted) == []


@given(steps=st.lists(st.sets(st.integers(2, 40), max_size=20), max_size=12))
def test_exactly_the_wanted_endpoints_are_active_whatever_came_before(steps: list[set[int]]) -> None:
    slots: tuple[Slot, ...] = ()
    for hosts in steps:
        endpoints = tuple(sorted(Backend(f"10.77.0.{host}", 80) for host in hosts))
        after = assign(slots, endpoints)
        assert sorted(slot.backend for slot in after if slot.active and slot.backend) == list(endpoints)
        assert len(after) >= len(slots)
        slots = after


PROCESSES = """\
#<PID>          <type>          <reloads>       <uptime>        <version>
1162            master          5 [failed: 0]   0d00h02m07s     2.6.12
# workers
1271            worker          0               0d00h00m00s     2.6.12
# old workers
1233            worker          3               0d00h00m43s     2.6.12
# programs

"""
STATE = """\
1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_port
3 shop_web_80 1 s1 10.77.0.2 2 0 80
3 shop_web_80 2 s2 10.77.0.3 2 4 80
3 shop_web_80 3 s3 10.77.0.4 0 5 80
3 shop_web_80 4 s4 127.0.0.1 0 5 1

"""
CONNECTIONS = """\
# bkname/svname bkid/svid addr port - purge_delay used_cur used_max need_est unsafe_nb safe_nb idle_lim idle_cur
shop_web_80/s1 3/1 10.77.0.2 8080 - 5000 2 0 0 0 0 -1 7
shop_web_80/s2 3/2 10.77.0.3 8080 - 5000 5 0 0 0 0 -1 0
shop_web_90/s1 4/1 10.77.0.2 9090 - 5000 1 0 0 0 0 -1 0
"""


def test_haproxys_own_words_are_understood() -> None:
    assert list(parse_workers(PROCESSES)) == [1271, 1233]
    assert parse_slots(STATE) == {
        "shop_web_80": (Slot(A, active=True), Slot(B, active=True), Slot(C, active=False), EMPTY)
    }
    assert count_used(CONNECTIONS, "10.77.0.2") == 3
