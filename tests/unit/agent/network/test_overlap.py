"""Ranges that the host uses already are refused with a message that says what to do."""

from ipaddress import IPv4Network

import pytest

from agent.network.overlap import Occupied, check_overlap
from gitops.kinds.errors import Invalid

RANGES = (("--pod-cidr", "10.77.0.0/16"), ("--service-cidr", "10.78.0.0/16"))


def test_ranges_beside_the_hosts_own_pass() -> None:
    check_overlap(RANGES, [Occupied(IPv4Network("192.168.1.0/24"), "route 192.168.1.0/24")])


def test_a_default_route_is_in_nobodys_way() -> None:
    check_overlap(RANGES, [Occupied(IPv4Network("0.0.0.0/0"), "route 0.0.0.0/0")])


def test_a_route_inside_a_range_is_refused_naming_both() -> None:
    with pytest.raises(
        Invalid, match=r"--service-cidr 10\.78\.0\.0/16 overlaps with route 10\.78\.4\.0/24 of this host"
    ):
        check_overlap(RANGES, [Occupied(IPv4Network("10.78.4.0/24"), "route 10.78.4.0/24")])


def test_a_route_around_a_range_is_refused() -> None:
    with pytest.raises(Invalid, match=r"--pod-cidr .* overlaps with route 10\.0\.0\.0/8"):
        check_overlap(RANGES, [Occupied(IPv4Network("10.0.0.0/8"), "route 10.0.0.0/8")])
