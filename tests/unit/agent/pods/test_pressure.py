"""What a node that runs short does, as the kubelet's documentation has it: tables."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.pods.admission import Admission
from agent.pods.pressure import (
    Candidate,
    Reading,
    Taken,
    beyond_limits,
    conditions,
    first_to_go,
    message,
    met,
    refusal,
)
from agent.thresholds import EVICTION_HARD, Signal, Threshold, parse
from gitops.kinds.core.pod import Pod
from tests.agent_world import a_pod

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MEMORY, DISK = frozenset({"MemoryPressure"}), frozenset({"DiskPressure"})
MI = 1 << 20


def a_user(
    name: str,
    used: int,
    request: str = "0",
    *,
    priority: int = 0,
    resource: str = "memory",
    limit: str = "",
    **spec: Any,
) -> Candidate:
    resources: dict[str, Any] = {"requests": {resource: request}}
    if limit:
        resources["limits"] = {resource: limit}
    container = {"name": "app", "image": "shop:1", "resources": resources}
    taken = Taken(used, used, used, used)
    return Candidate(a_pod(name, containers=[container], priority=priority, **spec), {"app": taken})


def name_of(one: Candidate | None) -> str:
    return one.pod["metadata"].get("name", "") if one is not None else ""


def static(one: Candidate) -> Candidate:
    pod: Any = one.pod
    annotations = {"kubernetes.io/config.source": "file"}
    return one._replace(pod=cast(Pod, {**pod, "metadata": {**pod["metadata"], "annotations": annotations}}))


def test_memory_is_helped_first_and_what_was_not_read_is_not_judged() -> None:
    readings = {
        Signal.MEMORY: Reading(99 * MI, 1 << 30),
        Signal.NODEFS: Reading(9, 100),
        Signal.IMAGEFS: Reading(15, 100),
    }
    low = met(parse("imagefs.available<15%,nodefs.available<10%,memory.available<100Mi"), readings)

    assert [one.signal for one in low] == [Signal.MEMORY, Signal.NODEFS]
    assert met(parse(EVICTION_HARD), {}) == ()


def test_a_condition_is_kept_until_five_minutes_after_its_end() -> None:
    low = parse("nodefs.available<10%")
    has, seen = conditions(low, {}, NOW, 300)
    assert has == DISK

    has, seen = conditions((), seen, NOW + timedelta(seconds=299), 300)
    assert has == DISK

    has, seen = conditions((), seen, NOW + timedelta(seconds=300), 300)
    assert (has, seen) == (frozenset(), {})


def test_without_a_period_a_condition_ends_with_its_cause() -> None:
    low = parse("memory.available<100Mi")
    has, seen = conditions(low, {}, NOW, 0)
    assert has == MEMORY

    assert conditions((), seen, NOW + timedelta(seconds=1), 0) == (frozenset(), {})


RANKS: dict[str, tuple[list[Candidate], str]] = {
    "over its request goes before a lower priority within it": (
        [a_user("within", 50, "60", priority=-5), a_user("over", 50, "40", priority=5)],
        "over",
    ),
    "of those over it, the lowest priority": (
        [a_user("high", 900, priority=5), a_user("low", 10)],
        "low",
    ),
    "of one priority, who exceeds its request most": (
        [a_user("large", 900, "890"), a_user("small", 60, "10")],
        "small",
    ),
    "with none over its request, by priority": (
        [a_user("high", 10, "90", priority=5), a_user("low", 10, "90")],
        "low",
    ),
    "a critical pod never goes": (
        [a_user("critical", 900, priority=2_000_000_000), a_user("b", 1, "2")],
        "b",
    ),
    "a static pod never goes": ([static(a_user("static", 900))], ""),
    "nobody": ([], ""),
}


@pytest.mark.parametrize("row", RANKS.values(), ids=RANKS.keys())
def test_who_goes_first(row: tuple[list[Candidate], str]) -> None:
    candidates, gone = row

    assert name_of(first_to_go(candidates, Signal.MEMORY)) == gone


def test_for_processes_requests_say_nothing() -> None:
    candidates = [a_user("few", 3), a_user("many", 300), a_user("important", 900, priority=1)]

    assert name_of(first_to_go(candidates, Signal.PID)) == "many"


def test_disk_is_measured_by_ephemeral_storage() -> None:
    asked = a_user("asked", 900, "1Ki", resource="ephemeral-storage")
    unasked = a_user("unasked", 30, "1Ki", resource="memory")

    assert name_of(first_to_go([asked, unasked], Signal.NODEFS)) == "unasked"


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(-2, 2)), max_size=6))
def test_who_goes_does_not_depend_on_the_order(rows: list[tuple[int, int, int]]) -> None:
    users = [a_user(f"p{n}", used, str(ask), priority=p) for n, (used, ask, p) in enumerate(rows)]

    first = first_to_go(users, Signal.MEMORY)

    assert name_of(first_to_go(reversed(users), Signal.MEMORY)) == name_of(first)
    assert (first is None) == (not users)


def test_the_message_is_the_kubelets() -> None:
    user = a_user("a", 300 * MI, "100Mi")

    assert message(user, Threshold(Signal.MEMORY, amount=100 * MI), Reading(50 * MI, 1 << 30)) == (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. "
        "Container app was using 300Mi, request is 100Mi, has larger consumption of memory. "
    )
    (low,) = parse("pid.available<10%")
    assert message(user, low, Reading(9, 100)) == (
        "The node was low on resource: pids. Threshold quantity: 10, available: 9. "
    )


REFUSED: dict[str, tuple[Pod, frozenset[str], str]] = {
    "no pressure": (a_user("a", 0).pod, frozenset(), ""),
    "BestEffort under memory pressure": (a_user("a", 0).pod, MEMORY, "[MemoryPressure]"),
    "Burstable under memory pressure": (a_user("a", 0, "1Mi").pod, MEMORY, ""),
    "BestEffort that bears it": (
        a_user("a", 0, tolerations=[{"operator": "Exists"}]).pod,
        MEMORY,
        "",
    ),
    "Burstable under disk pressure": (a_user("a", 0, "1Mi").pod, DISK, "[DiskPressure]"),
    "Burstable under both": (
        a_user("a", 0, "1Mi").pod,
        MEMORY | DISK,
        "[DiskPressure MemoryPressure]",
    ),
    "a critical one": (a_user("a", 0, priority=2_000_001_000).pod, DISK, ""),
    "a static one": (static(a_user("a", 0)).pod, DISK, ""),
}


@pytest.mark.parametrize("row", REFUSED.values(), ids=REFUSED.keys())
def test_which_new_pods_are_refused(row: tuple[Pod, frozenset[str], str]) -> None:
    pod, pressures, condition = row
    refused = Admission(pressures=lambda: pressures).admit(pod)

    assert refused == refusal(pod, pressures)
    if condition:
        assert refused == ("Evicted", f"The node had condition: {condition}. ")
    else:
        assert refused is None


def test_limits_of_ephemeral_storage() -> None:
    user = a_user("a", 2 * MI, limit="2Mi", resource="ephemeral-storage")
    assert beyond_limits(user) == ""

    more = user._replace(taken={"app": Taken(disk_bytes=2 * MI + 1)})
    assert beyond_limits(more) == 'Container app exceeded its local ephemeral storage limit "2Mi". '

    volumes = user._replace(taken={"app": Taken(disk_bytes=2 * MI), "": Taken(disk_bytes=1)})
    assert beyond_limits(volumes) == (
        "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. "
    )
    assert beyond_limits(a_user("b", 1 << 40)) == ""
