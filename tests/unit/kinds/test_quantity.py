"""Quantities against Kubernetes' canonical form and exact arithmetic."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.kinds import quantity

CANONICAL = {
    "1000m": "1",
    "0.5": "500m",
    "1024Mi": "1Gi",
    "1.5Gi": "1536Mi",
    "1.5Ki": "1536",
    "0.5Ki": "512",
    "1023": "1023",
    "1500M": "1500M",
    "3000k": "3M",
    "1e3": "1e3",
    "12E": "12E",
    "100n": "100n",
    "0.0000000001": "1n",
    "0": "0",
    "-500m": "-500m",
    "+1": "1",
    ".5": "500m",
    "5.": "5",
}


@pytest.mark.parametrize(("text", "shown"), CANONICAL.items())
def test_a_quantity_is_shown_as_kubernetes_shows_it(text: str, shown: str) -> None:
    assert quantity.canonical(text) == shown


@pytest.mark.parametrize("number", [(2, "2"), (0.1, "100m"), (1.5, "1500m"), (1e22, "10000E")])
def test_a_json_number_is_a_quantity(number: tuple[int | float, str]) -> None:
    assert quantity.canonical(number[0]) == number[1]


@pytest.mark.parametrize(
    "text", ["", "m", "1 Gi", "1GiB", "1.2.3", "1e", "0x1", "1i", "½", "1" * 101, "1e999", "NaN"]
)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quantit"):
        quantity.parse(text)


def test_cpu_is_rounded_up_to_thousandths_and_bytes_to_whole_ones() -> None:
    assert quantity.milli("1.0001") == 1001
    assert quantity.milli("250m") == 250
    assert quantity.whole("1.5") == 2
    assert quantity.whole("1Ki") == 1024


def test_quantities_of_different_suffixes_compare_by_value() -> None:
    assert quantity.compare("1Gi", "1024Mi") == 0
    assert quantity.compare("1G", "1Gi") == -1
    assert quantity.compare("2", "1999m") == 1


quantities = st.builds(
    lambda number, places, suffix: f"{Decimal(number).scaleb(-places):f}{suffix}",
    st.integers(-(10**12), 10**12),
    st.integers(0, 6),
    st.sampled_from(
        ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e3", "E-2"]
    ),
)


@given(quantities)
def test_the_canonical_form_keeps_the_value_and_is_its_own_canonical_form(text: str) -> None:
    shown = quantity.canonical(text)

    assert quantity.parse(shown) == quantity.parse(text)
    assert quantity.canonical(shown) == shown


@given(quantities, quantities)
def test_comparing_agrees_with_exact_numbers(one: str, other: str) -> None:
    assert quantity.compare(one, other) == -quantity.compare(other, one)
    assert (quantity.compare(one, other) == 0) == (quantity.parse(one) == quantity.parse(other))
