"""The choice of a pod's address."""

import pytest

from agent.network import pick
from gitops.kinds.errors import Unavailable

CIDR = "10.77.3.0/24"


def test_the_first_address_after_the_nodes_own_is_picked_first() -> None:
    assert pick(CIDR, ()) == "10.77.3.2"


def test_used_addresses_are_skipped() -> None:
    assert pick(CIDR, {"10.77.3.2", "10.77.3.3", "10.77.3.5"}) == "10.77.3.4"


def test_a_just_freed_address_is_not_used_again_at_once() -> None:
    assert pick(CIDR, {"10.77.3.2"}, last="10.77.3.3") == "10.77.3.4"


def test_at_the_end_of_the_range_it_starts_again() -> None:
    assert pick(CIDR, {"10.77.3.2"}, last="10.77.3.254") == "10.77.3.3"


def test_the_last_address_before_the_broadcast_address_is_used() -> None:
    used = {f"10.77.3.{host}" for host in range(2, 254)}

    assert pick(CIDR, used) == "10.77.3.254"


def test_a_last_address_of_another_range_is_ignored() -> None:
    assert pick(CIDR, (), last="10.77.9.7") == "10.77.3.2"


def test_a_full_range_says_so() -> None:
    used = {f"10.77.3.{host}" for host in range(2, 255)}

    with pytest.raises(Unavailable, match=r"all 253 of 10\.77\.3\.0/24 are used"):
        pick(CIDR, used)
