"""Where a source that an object states may connect: judged by address, whatever the URL calls it."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.kinds.errors import BadRequest, GitwardError
from gitops.sync.reach import pinned, refused

REFUSED = {
    "127.0.0.1": "this host itself",
    "127.8.8.8": "this host itself",
    "0.0.0.0": "this host itself",  # Linux connects to itself.
    "::1": "this host itself",
    "::": "this host itself",
    "::ffff:127.0.0.1": "this host itself",
    "64:ff9b::7f00:1": "this host itself",
    "2002:7f00:1::": "this host itself",
    "169.254.169.254": "a link-local address",
    "::ffff:169.254.169.254": "a link-local address",
    "64:ff9b::a9fe:a9fe": "a link-local address",
    "fe80::1": "a link-local address",
    "fd00:ec2::254": "the address of a cloud's metadata server",
    "100.100.100.200": "the address of a cloud's metadata server",
    "168.63.129.16": "the address of a cloud's metadata server",
    "224.0.0.1": "a multicast address",
    "ff02::1": "a multicast address",
    "255.255.255.255": "a reserved address",
}


@pytest.mark.parametrize(("address", "why"), REFUSED.items())
def test_an_address_that_is_refused(address: str, why: str) -> None:
    assert refused(ip_address(address), ()) == why


@pytest.mark.parametrize(
    "address", ["10.0.0.5", "192.168.1.1", "140.82.121.4", "fd12::1", "2606:50c0::1", "64:ff9b::8c52:7904"]
)
def test_a_forge_of_a_private_network_or_of_the_world_is_not(address: str) -> None:
    assert refused(ip_address(address), ()) is None


def test_the_operator_allows_a_network_and_no_more() -> None:
    allowed = (ip_network("127.0.0.0/24"),)

    assert refused(ip_address("127.0.0.9"), allowed) is None
    assert refused(ip_address("127.0.1.9"), allowed) == "this host itself"
    assert refused(ip_address("::1"), allowed) == "this host itself"


NAMES = (
    "https://127.0.0.1/x.git",
    "https://127.1/x.git",
    "https://2130706433/x.git",
    "https://0x7f.1/x.git",
    "https://0177.0.0.1/x.git",
    "https://[::1]/x.git",
    "https://[::ffff:127.0.0.1]:8443/x.git",
    "https://localhost/x.git",
    "https://git@localhost./x.git",
    "https://169.254.169.254/latest/meta-data",
    "ssh://git@127.0.0.1:22/x.git",
    "git@localhost:x.git",
)


@pytest.mark.parametrize("url", NAMES)
def test_this_host_is_refused_by_whatever_name(url: str) -> None:
    with pytest.raises(GitwardError) as told:
        pinned(url, ())

    assert "--allow-source-network" in str(told.value) or "cannot look up" in str(told.value)


TWICE = (
    "https://good.example\\@127.0.0.1/x",
    "https://good.example#@127.0.0.1/",
    "https://good.example?@127.0.0.1/",
    "https://127.0.0.1%2f@good.example/x",
    "https://a@b@127.0.0.1/x",
    "https://good.example:443:80/x",
    "https://ｌｏｃａｌｈｏｓｔ/x",
    "https:///x",
)


@pytest.mark.parametrize("url", TWICE)
def test_a_url_that_can_be_read_in_two_ways_is_refused(url: str) -> None:
    with pytest.raises(BadRequest, match="with nothing else"):
        pinned(url, ())


def test_what_may_be_asked_is_bound_to_its_addresses() -> None:
    pin = pinned("ssh://git@localhost:2222/x.git", (ip_network("127.0.0.0/8"), ip_network("::1/128")))

    assert (pin.host, pin.port, pin.is_https) == ("localhost", 2222, False)
    assert set(pin.addresses) <= {"127.0.0.1", "::1"}


@given(st.ip_addresses())
def test_no_address_of_this_host_or_its_link_ever_passes(address: object) -> None:
    one = ip_address(str(address))

    if one.is_loopback or one.is_link_local or one.is_unspecified:
        assert refused(one, ()) is not None
