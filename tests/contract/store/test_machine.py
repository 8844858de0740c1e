"""Every backend against the simplest model: a dict and a list. SQLite is also closed and opened again in between."""

import asyncio
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gitops.kinds.core.pod import POD
from gitops.kinds.errors import Conflict
from gitops.kinds.keys import Key
from gitops.store import ABSENT, Delete, Position, Put, Revision, Scope, Store, Txn
from gitops.store.memory import MemoryStore
from tests.contract.store.stores import Clock, a_pod, changes, open_sqlite, pod_key, txn

NAMES = ("a", "a-b", "b", "c")
NODES = ("", "n1", "n2")

# One write: a name, its node (None: delete), whether it touches, and how its precondition is chosen.
writes = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from((None, *NODES)),
        st.booleans(),
        st.sampled_from(("none", "right", "right", "absent", "stale")),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda write: write[0],
)
Written = tuple[int, Key, int | None, int | None]  # Position, key, version before, version after.


class StoreMachine(RuleBasedStateMachine):
    """The model: `held` (name -> node and version) and `log` (every change there ever was)."""

    store: Store

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.held: dict[str, tuple[str, int]] = {}
        self.log: list[Written] = []
        self.revision = 0

    def now(self, name: str) -> int:
        return self.held[name][1] if name in self.held else 0

    def expected(self, name: str, how: str) -> Position | None:
        return {
            "none": None,
            "right": Position(self.now(name)),
            "absent": ABSENT,
            "stale": Position(self.now(name) + 1),
        }[how]

    def transaction(self, chosen: list[tuple[str, str | None, bool, str]]) -> Txn:
        ops = [
            Delete(pod_key(name), self.expected(name, how))
            if node is None
            else Put(a_pod(name, node=node), self.expected(name, how), touch)
            for name, node, touch, how in chosen
        ]
        return txn(*ops)

    def predicted(
        self, chosen: list[tuple[str, str | None, bool, str]]
    ) -> list[tuple[str, str | None]] | None:
        """What will be written, None for a conflict."""
        found: list[tuple[str, str | None]] = []
        for name, node, touch, how in chosen:
            if how == "stale" or (how == "absent" and name in self.held):
                return None
            if node is None:
                if name in self.held:
                    found.append((name, node))
            elif touch or name not in self.held or self.held[name][0] != node:
                found.append((name, node))
        return found

    def remember(self, written: list[tuple[str, str | None]]) -> None:
        if not written:
            return
        self.revision += 1
        for index, (name, node) in enumerate(written):
            at = self.revision << 16 | index
            before = self.now(name) or None
            self.log.append((at, pod_key(name), before, None if node is None else at))
            if node is None:
                del self.held[name]
            else:
                self.held[name] = (node, at)

    @rule(chosen=writes)
    def commit(self, chosen: list[tuple[str, str | None, bool, str]]) -> None:
        predicted = self.predicted(chosen)
        if predicted is None:
            with pytest.raises(Conflict):
                self.loop.run(self.store.commit(self.transaction(chosen)))
            return
        committed = self.loop.run(self.store.commit(self.transaction(chosen)))
        self.remember(predicted)
        assert committed.revision == self.revision
        for (name, node, _, _), obj in zip(chosen, committed.objects, strict=True):
            assert version(obj) == (None if node is None else self.now(name))

    @rule(chosen=st.lists(writes, min_size=2, max_size=6))
    def commit_many_at_once(self, chosen: list[list[tuple[str, str | None, bool, str]]]) -> None:
        """Decided in the order of asking, whatever their fsyncs share; preconditions are on what was before all."""
        transactions = [self.transaction([(*write[:3], "none") for write in one]) for one in chosen]

        async def all_at_once() -> None:
            builds = [lambda _, one=one: one for one in transactions]
            ways = (self.store.transact(build) for build in builds[1:])
            await asyncio.gather(self.store.commit(transactions[0]), *ways)

        self.loop.run(all_at_once())
        for one in chosen:
            self.remember(self.predicted([(*write[:3], "none") for write in one]) or [])

    @precondition(lambda self: self.log)
    @rule(data=st.data())
    def watch_is_the_exact_suffix(self, data: st.DataObject) -> None:
        after = data.draw(st.sampled_from([0, *(written[0] for written in self.log)]))
        scope = data.draw(st.sampled_from([Scope("", "Pod"), Scope("", "Pod", "shop", "a-b")]))
        seen = self.loop.run(changes(self.store, after, scope))
        told = [(c.position, c.key, version(c.before), version(c.after)) for c in seen]
        assert told == [w for w in self.log if w[0] > after and scope.name in (None, w[1].name)]

    @precondition(lambda self: self.log)
    @rule(data=st.data())
    def the_past_is_what_it_was(self, data: st.DataObject) -> None:
        at = data.draw(st.integers(0, self.revision))
        then: dict[str, int] = {}
        for written in self.log:
            if written[0] >> 16 <= at:
                then.pop(written[1].name, None)
                if written[3]:
                    then[written[1].name] = written[3]
        listed = self.loop.run(self.store.list(Scope("", "Pod", "shop"), at=Revision(at)))
        assert [(pod["metadata"]["name"], version(pod)) for pod in listed] == sorted(then.items())
        name = data.draw(st.sampled_from(NAMES))
        assert version(self.loop.run(self.store.get(pod_key(name), at=Revision(at)))) == then.get(name)

    @invariant()
    def the_view_is_what_was_written(self) -> None:
        view = self.store.view()
        assert view.revision == self.revision
        assert [(pod["metadata"]["name"], version(pod)) for pod in view.list(POD)] == [
            (name, self.held[name][1]) for name in sorted(self.held)
        ]
        for node in NODES[1:]:
            assert [pod["metadata"]["name"] for pod in view.on_node(POD, node)] == [
                name for name in sorted(self.held) if self.held[name][0] == node
            ]

    def teardown(self) -> None:
        self.loop.run(self.store.close())
        self.loop.close()


class MemoryMachine(StoreMachine):
    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore(Clock())


class SqliteMachine(StoreMachine):
    def __init__(self) -> None:
        super().__init__()
        self.cleanup = ExitStack()
        self.directory = Path(self.cleanup.enter_context(tempfile.TemporaryDirectory()))
        self.store = self.loop.run(open_sqlite(self.directory))

    @rule()
    def close_and_open_again(self) -> None:
        self.loop.run(self.store.close())
        self.store = self.loop.run(open_sqlite(self.directory))

    def teardown(self) -> None:
        super().teardown()
        self.cleanup.close()


def version(obj: Any) -> int | None:
    return int(obj["metadata"]["resourceVersion"]) if obj else None


MACHINES: dict[str, type[StoreMachine]] = {"memory": MemoryMachine, "sqlite": SqliteMachine}


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES.keys())
def test_a_store_does_what_its_model_does(machine: type[StoreMachine]) -> None:
    run_state_machine_as_test(
        machine, settings=settings(max_examples=25, stateful_step_count=25, deadline=None)
    )
