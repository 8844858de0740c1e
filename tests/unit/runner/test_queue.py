"""The queue: each key once, by urgency, with back-off, timers and a bound against spinning."""

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from gitops.kinds.keys import Key
from gitops.runner.queue import SPIN_ROUNDS_MAX, Item, Queue, Urgency

A: Final = Item("replicaset", Key("apps", "ReplicaSet", "shop", "a"))
B: Final = Item("replicaset", Key("apps", "ReplicaSet", "shop", "b"))
C: Final = Item("deployment", Key("apps", "Deployment", "shop", "c"))


def test_a_key_that_is_added_twice_is_taken_once() -> None:
    queue = Queue()
    queue.add(A, Urgency.CONSEQUENCE, 0)
    queue.add(A, Urgency.CONSEQUENCE, 0)

    assert queue.take(0) == A
    assert queue.take(0) is None


def test_a_key_that_comes_again_before_its_time_leaves_no_timers_behind() -> None:
    """Symptom: each change of an Event left a timer of an hour, and the heap grew by all changes of that hour."""
    queue = Queue()
    queue.add(B, Urgency.CONSEQUENCE, 0)
    assert queue.take(0) == B
    queue.done(B, 0, after_seconds=3_000)
    for seconds in range(2_000):
        for _ in range(10):
            queue.add(A, Urgency.CONSEQUENCE, seconds)
            assert queue.take(seconds) == A
            queue.done(A, seconds, after_seconds=3_600)

    assert len(queue._timers) < 2_000
    assert queue.take(3_000) == B
    assert queue.next_due(3_000) == 1_999 + 3_600
    assert queue.take(1_999 + 3_600) == A


def test_what_a_person_asked_for_goes_first() -> None:
    queue = Queue()
    queue.add(A, Urgency.RESYNC, 0)
    queue.add(B, Urgency.CONSEQUENCE, 0)
    queue.add(C, Urgency.ASKED, 0)

    assert [queue.take(0), queue.take(0), queue.take(0)] == [C, B, A]


def test_a_more_urgent_hint_moves_a_key_forward() -> None:
    queue = Queue()
    queue.add(A, Urgency.CONSEQUENCE, 0)
    queue.add(B, Urgency.RESYNC, 0)
    queue.add(B, Urgency.ASKED, 0)

    assert [queue.take(0), queue.take(0), queue.take(0)] == [B, A, None]


def test_a_key_that_changes_while_it_runs_comes_again_and_never_runs_twice_at_once() -> None:
    queue = Queue()
    queue.add(A, Urgency.CONSEQUENCE, 0)
    assert queue.take(0) == A

    queue.add(A, Urgency.CONSEQUENCE, 0)
    assert queue.take(0) is None

    queue.done(A, 0)
    assert queue.take(0) == A


def test_back_off_doubles_up_to_its_bound_and_ends_with_success() -> None:
    queue = Queue()
    waits, now = [], 0.0
    queue.add(A, Urgency.CONSEQUENCE, now)
    for _ in range(9):
        assert queue.take(now) == A
        waits.append(queue.failed(A, now, base_seconds=0.01, seconds_max=1.0))
        now += waits[-1]
    assert waits == [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0]

    assert queue.take(now) == A
    queue.done(A, now)
    queue.add(A, Urgency.CONSEQUENCE, now)
    assert queue.take(now) == A
    assert queue.failed(A, now, base_seconds=0.01, seconds_max=1.0) == 0.01


def test_a_change_does_not_cut_a_back_off_short() -> None:
    queue = Queue()
    queue.add(A, Urgency.CONSEQUENCE, 0)
    queue.take(0)
    queue.failed(A, 0, base_seconds=5, seconds_max=30)

    queue.add(A, Urgency.ASKED, 1)

    assert queue.take(1) is None
    assert queue.next_due(1) == 5
    assert queue.take(5) == A


def test_a_timer_is_due_in_its_time_and_a_change_comes_before_it() -> None:
    queue = Queue()
    queue.add(A, Urgency.CONSEQUENCE, 0)
    queue.take(0)
    queue.done(A, 0, after_seconds=60)
    assert queue.take(59) is None

    queue.add(A, Urgency.CONSEQUENCE, 59)
    assert queue.take(59) == A

    queue.done(A, 59)
    assert queue.take(1_000) is None, "the round without a wish for later took the timer back"


def test_a_serial_controller_has_one_key_running() -> None:
    queue = Queue(serial=frozenset({"replicaset"}))
    for item in (A, B, C):
        queue.add(item, Urgency.CONSEQUENCE, 0)

    assert [queue.take(0), queue.take(0), queue.take(0)] == [A, C, None]
    assert queue.next_due(0) is None

    queue.done(A, 0)
    assert queue.take(0) == B


def test_a_key_that_writes_for_ever_is_held_back() -> None:
    queue = Queue()
    now, rounds = 0.0, 0
    queue.add(A, Urgency.CONSEQUENCE, now)
    while queue.take(now) == A:
        rounds += 1
        queue.add(A, Urgency.CONSEQUENCE, now)
        queue.done(A, now, wrote=True)

    assert rounds == SPIN_ROUNDS_MAX
    assert queue.spins == 1
    assert queue.next_due(now) == 0.1


@given(
    st.lists(
        st.tuples(st.sampled_from([A, B, C]), st.sampled_from(["add", "take", "done", "fail", "later"])),
        max_size=60,
    )
)
def test_nothing_that_was_added_is_ever_lost(actions: list[tuple[Item, str]]) -> None:
    """After every sequence of actions each key that was added since its last round can still be taken."""
    queue, running, owed = Queue(), set[Item](), set[Item]()
    for now, (item, action) in enumerate(actions):
        if action == "add":
            queue.add(item, Urgency.CONSEQUENCE, now)
            owed.add(item)
        elif action == "take":
            if (taken := queue.take(now)) is not None:
                assert taken not in running
                running.add(taken)
                owed.discard(taken)
        elif item in running:
            running.discard(item)
            if action == "fail":
                queue.failed(item, now, base_seconds=1, seconds_max=8)
                owed.add(item)
            else:
                queue.done(item, now, after_seconds=1000 if action == "later" else None)
    for item in running:
        queue.done(item, 100)

    taken_in_the_end = set()
    while (item := queue.take(200)) is not None:  # type: ignore[assignment] # None ends the loop.
        taken_in_the_end.add(item)
    assert owed <= taken_in_the_end
