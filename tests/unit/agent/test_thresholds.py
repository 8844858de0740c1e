"""`--eviction-hard`, as the kubelet reads it."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.thresholds import EVICTION_HARD, Signal, Threshold, parse, parse_soft
from gitops.cli.seconds import seconds_of
from gitops.kinds.errors import BadRequest

DEFAULT = (
    Threshold(Signal.MEMORY, amount=100 << 20),
    Threshold(Signal.NODEFS, percent=Decimal(10)),
    Threshold(Signal.IMAGEFS, percent=Decimal(15)),
    Threshold(Signal.NODEFS_INODES, percent=Decimal(5)),
    Threshold(Signal.IMAGEFS_INODES, percent=Decimal(5)),
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (EVICTION_HARD, DEFAULT),
        ("", ()),
        (" pid.available < 1k ", (Threshold(Signal.PID, amount=1000),)),
        ("nodefs.available<0%,imagefs.available<100%", ()),
        ("nodefs.available<2.5%", (Threshold(Signal.NODEFS, percent=Decimal("2.5")),)),
    ],
)
def test_what_is_read(text: str, found: tuple[Threshold, ...]) -> None:
    assert parse(text) == found


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("memory.available=1Gi", "SIGNAL<AMOUNT"),
        ("memory.available<", "an amount such as 100Mi"),
        ("memory.available<0", "more than 0; 0% means no threshold"),
        ("memory.available<-1Gi", "more than 0"),
        ("nodefs.available<101%", "0% to 100%"),
        ("nodefs.available<NaN%", "0% to 100%"),
        ("nodefs.available<x%", "a number before the %"),
        (
            "allocatableMemory.available<5%",
            "one of memory.available, nodefs.available, imagefs.available, nodefs.inodesFree, imagefs.inodesFree, "
            "pid.available",
        ),
        ("memory.available<1Gi,memory.available<2Gi", "memory.available once"),
        ("memory.available<1Gi,", "SIGNAL<AMOUNT"),
    ],
)
def test_what_is_refused_says_what_is_wanted(text: str, wanted: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse(text)

    assert "--eviction-hard: found" in str(refused.value)
    assert wanted in str(refused.value)


def test_a_soft_one_has_a_grace_period_of_its_own() -> None:
    text = "memory.available<300Mi,nodefs.inodesFree<10%"

    found = parse_soft(text, "nodefs.inodesFree=2m, memory.available=30s", seconds_of)

    assert found == (
        Threshold(Signal.MEMORY, amount=300 << 20, grace_seconds=30.0),
        Threshold(Signal.NODEFS_INODES, percent=Decimal(10), grace_seconds=120.0),
    )


@pytest.mark.parametrize(
    ("text", "grace", "why"),
    [
        ("memory.available<1Gi", "", "must be specified for the soft threshold memory.available"),
        ("memory.available<1Gi", "memory.available", "SIGNAL=DURATION"),
        ("memory.available<1Gi", "memory=1m", "--eviction-soft-grace-period: found 'memory', wanted one of"),
        ("memory.available", "", "--eviction-soft: found 'memory.available', wanted SIGNAL<AMOUNT"),
    ],
)
def test_a_soft_one_without_a_grace_period_is_refused(text: str, grace: str, why: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_soft(text, grace, seconds_of)

    assert why in str(refused.value)


PIECES = st.sampled_from(
    [*Signal, "<", "<", ",", "100Mi", "10%", "-", "1e9", ".", "%", "Infinity%", "é", " ", "9" * 30, "e99999"]
)


@given(st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=12).map("".join)))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except BadRequest:
        return
    for one in found:
        assert one.of(1 << 40) > 0 or one.percent is not None
        assert (one.amount is None) != (one.percent is None)


@given(st.lists(st.tuples(st.sampled_from(Signal), st.integers(1, 99)), unique_by=lambda one: one[0]))
def test_what_is_written_is_read(shares: list[tuple[Signal, int]]) -> None:
    text = ",".join(f"{signal}<{percent}%" for signal, percent in shares)

    assert [(one.signal, one.of(1000)) for one in parse(text)] == [
        (signal, percent * 10) for signal, percent in shares
    ]
