"""Cluster addresses of services: given once, kept, never shared."""

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.admission import Settings, admit_create
from gitops.kinds.core.service import SERVICE
from gitops.kinds.errors import Invalid, Unavailable
from tests.unit.admission.builders import NOW, World, service

RANGE = IPv4Network("10.78.0.0/16")


def test_a_service_gets_an_address_of_the_range() -> None:
    spec = World().create(SERVICE, service())["spec"]

    assert IPv4Address(spec["clusterIP"]) in RANGE
    assert spec["clusterIPs"] == [spec["clusterIP"]]


def test_a_service_made_anew_gets_its_address_back() -> None:
    assert (
        World().create(SERVICE, service())["spec"]["clusterIP"]
        == World().create(SERVICE, service())["spec"]["clusterIP"]
    )


def test_a_headless_service_stays_without() -> None:
    spec = World().create(SERVICE, service(clusterIP="None"))["spec"]

    assert (spec["clusterIP"], spec["clusterIPs"]) == ("None", ["None"])


def test_an_external_name_has_no_address() -> None:
    spec = World().create(SERVICE, service(type="ExternalName", externalName="db.example.com"))["spec"]

    assert "clusterIP" not in spec


def test_a_chosen_address_is_kept() -> None:
    spec = World().create(SERVICE, service(clusterIP="10.78.0.10"))["spec"]

    assert spec["clusterIPs"] == ["10.78.0.10"]


def test_a_chosen_address_that_is_taken_is_refused() -> None:
    world = World()
    world.create(SERVICE, service("one", clusterIP="10.78.0.20"))

    with pytest.raises(Invalid, match="provided IP is already allocated"):
        world.create(SERVICE, service("two", clusterIP="10.78.0.20"))


def test_a_chosen_address_outside_the_range_is_refused() -> None:
    with pytest.raises(Invalid, match=r"The range of valid IPs is 10\.78\.0\.0/16"):
        World().create(SERVICE, service(clusterIP="10.1.2.3"))


def test_an_update_that_leaves_the_address_out_keeps_it() -> None:
    world = World()
    stored: Any = world.create(SERVICE, service())

    changed: Any = world.update(SERVICE, service(selector={"app": "api"}))

    assert changed["spec"]["clusterIP"] == stored["spec"]["clusterIP"]
    assert changed["spec"]["selector"] == {"app": "api"}


@given(names=st.lists(st.from_regex("[a-z]{1,5}", fullmatch=True), unique=True, max_size=20))
def test_a_small_range_is_used_up_without_doubles(names: list[str]) -> None:
    """/28 has 14 addresses for hosts; two of them belong to the API and to DNS."""
    world, settings = World(), Settings(service_cidr=IPv4Network("10.5.0.0/28"))
    given_out = []
    for name in names:
        try:
            created = admit_create(
                world.view, SERVICE, service(name), now=NOW, mint=world.mint, manager=None, settings=settings
            )
        except Unavailable:
            break
        given_out.append(world.put(created)["spec"]["clusterIP"])

    assert len(given_out) == min(len(names), 12)
    assert len(set(given_out)) == len(given_out)
    assert not {"10.5.0.0", "10.5.0.1", "10.5.0.10", "10.5.0.15"} & set(given_out)
