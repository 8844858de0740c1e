"""What a commit does to the declared records: claims, handover, holds, and the source's status."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from gitops.kinds.gitward import DECLARED_GROUP, GIT_SOURCE, declared_key
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, key_of
from gitops.store.contract import Delete, Put, Txn
from gitops.store.memory import MemoryStore
from gitops.sync.compile import Stated
from gitops.sync.declare import AppLook, Look, declare
from gitops.sync.telling import bounded, report

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def config_map(name: str, value: str = "one") -> KubeObject:
    return an_object("ConfigMap", name, "default", data={"a": value})


def an_object(
    kind: str, name: str, namespace: str = "", api_version: str = "v1", **fields: Any
) -> KubeObject:
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return cast(KubeObject, {"apiVersion": api_version, "kind": kind, "metadata": meta, **fields})


class World:
    """A store with sources, in which commits are declared one after the other."""

    def __init__(self, *sources: str) -> None:
        self.store = MemoryStore(lambda: NOW)
        for source in sources or ("shop",):
            self.put(an_object("GitSource", source, api_version="gitward.io/v1alpha1", spec={"url": "/r"}))

    def put(self, obj: KubeObject) -> None:
        self.store.commit_now(Txn((Put(obj),), actor="test", cause="test"))

    def declare(
        self, commit: str, *objects: KubeObject, source: str = "shop", allow: tuple[str, ...] = ()
    ) -> Txn:
        stated = tuple(
            Stated(key_of(obj), obj, f"{source}.yaml", line) for line, obj in enumerate(objects, start=1)
        )
        app = AppLook(source, stated, len(stated), allow_prune=allow)
        txn = declare(self.store.view(), Look(source, commit, (app,), is_first=True), NOW).txn
        self.store.commit_now(txn)
        return txn

    def claims(
        self, name: str, kind: str = "ConfigMap", namespace: str = "default", group: str = ""
    ) -> list[str]:
        """`source@commit state`, the first that counts first."""
        record: Any = self.store.view().object(declared_key(Key(group, kind, namespace, name)))
        return (
            [f"{claim['source']}@{claim['commit']} {claim['state']}" for claim in record["claims"]]
            if record
            else []
        )

    def status(self, source: str = "shop") -> Any:
        found = self.store.view().get(GIT_SOURCE, GIT_SOURCE.key("", source))
        assert found is not None
        return found.get("status")

    def drop_withdrawn(self) -> None:
        """What apply does once the live object is gone."""
        for record in list(self.store.view().list_group(DECLARED_GROUP)):
            claims: Any = record
            if all(claim["state"] == "withdrawn" for claim in claims["claims"]):
                self.store.commit_now(Txn((Delete(key_of(record)),), actor="apply", cause="test"))


def test_a_first_commit_makes_a_record_for_each_object() -> None:
    world = World()

    txn = world.declare("c1", config_map("a"), config_map("b"))

    assert world.claims("a") == ["shop@c1 declared"]
    assert (txn.actor, txn.cause) == ("sync/shop", "c1")
    assert txn.source is not None
    assert txn.source.commit == "c1"
    assert world.status()["commit"] == {"fetched": "c1", "declared": "c1"}


def test_the_same_statement_keeps_the_commit_in_which_it_was_made() -> None:
    world = World()
    world.declare("c1", config_map("a"), config_map("b"))

    txn = world.declare("c2", config_map("a"), config_map("b", "two"))

    assert [key_of(op.obj).name for op in txn.ops if isinstance(op, Put)] == ["b", "shop"]
    assert world.claims("a") == ["shop@c1 declared"]
    assert world.claims("b") == ["shop@c2 declared"]


def test_declaring_the_same_commit_again_writes_nothing() -> None:
    world = World()
    world.declare("c1", config_map("a"))

    txn = world.declare("c1", config_map("a"))

    assert txn.ops == ()
    assert txn.source is None


def test_the_second_source_waits_and_takes_over_when_the_first_lets_go() -> None:
    world = World("shop", "other")
    world.declare("c1", config_map("a"), config_map("b"))
    world.declare("d1", config_map("a"), source="other")
    assert world.claims("a") == ["shop@c1 declared", "other@d1 declared"]

    world.declare("c2", config_map("b"))

    assert world.claims("a") == ["other@d1 declared"]


def test_a_waiting_claim_that_is_given_up_leaves_no_trace() -> None:
    world = World("shop", "other")
    world.declare("c1", config_map("a"))
    world.declare("d1", config_map("a"), config_map("x"), source="other")

    world.declare("d2", config_map("x"), source="other")

    assert world.claims("a") == ["shop@c1 declared"]


def test_an_object_on_its_way_out_is_handed_over_to_who_states_it() -> None:
    world = World("shop", "other")
    world.declare("c1", config_map("a"), config_map("b"))
    world.declare("c2", config_map("b"))
    assert world.claims("a") == ["shop@c1 withdrawn"]

    world.declare("d1", config_map("a"), source="other")

    assert world.claims("a") == ["other@d1 declared"]


def test_an_object_that_is_stated_again_before_it_went_is_declared_by_the_new_commit() -> None:
    world = World()
    world.declare("c1", config_map("a"), config_map("b"))
    world.declare("c2", config_map("b"))

    world.declare("c3", config_map("a"), config_map("b"))

    assert world.claims("a") == ["shop@c3 declared"]


def many(count: int, first: int = 0) -> list[KubeObject]:
    return [config_map(f"c{number:02}") for number in range(first, first + count)]


HOLDS: dict[str, tuple[int, int, bool]] = {
    "all of two": (2, 2, True),
    "one of two": (2, 1, False),
    "ten of eleven": (11, 10, False),
    "eleven of twenty-one": (21, 11, True),
    "eleven of twenty-two": (22, 11, False),
    "all of thirty": (30, 30, True),
}


@pytest.mark.parametrize("case", HOLDS.values(), ids=HOLDS.keys())
def test_more_than_ten_that_are_more_than_half_are_held(case: tuple[int, int, bool]) -> None:
    size, gone, is_held = case
    world = World()
    world.declare("c1", *many(size))

    world.declare("c2", *many(size - gone, first=gone))

    assert world.claims("c00") == [f"shop@c1 {'held' if is_held else 'withdrawn'}"]
    assert len(world.status()["held"]) == (gone if is_held else 0)


def test_the_rest_of_a_held_commit_goes_on() -> None:
    world = World()
    world.declare("c1", *many(20))

    world.declare("c2", *many(2), config_map("new"))

    assert world.claims("new") == ["shop@c2 declared"]
    assert world.claims("c19") == ["shop@c1 held"]
    assert world.status()["held"][-1] == "ConfigMap default/c19 (was in shop.yaml:20)"


ALLOWED: dict[str, tuple[tuple[str, ...], bool]] = {
    "all": (("all",), True),
    "just enough": (("3",), True),
    "more": (("2", "9"), True),
    "too few": (("2",), False),
    "nonsense": (("many",), False),
    "minus": (("-9",), False),
    "nothing": ((), False),
}


@pytest.mark.parametrize("case", ALLOWED.values(), ids=ALLOWED.keys())
def test_a_trailer_with_the_number_held_lets_them_go(case: tuple[tuple[str, ...], bool]) -> None:
    trailers, is_allowed = case
    world = World()
    world.declare("c1", *many(3))

    world.declare("c2", allow=trailers)

    assert world.claims("c00") == [f"shop@c1 {'withdrawn' if is_allowed else 'held'}"]


def test_a_trailer_that_says_nothing_is_a_warning() -> None:
    world = World()

    world.declare("c1", config_map("a"), allow=("many",))

    assert world.status()["warnings"] == [
        "trailer Gitward-Allow-Prune: found 'many', wanted a number or `all`"
    ]


def test_what_was_withdrawn_is_not_held_later() -> None:
    world = World()
    world.declare("c1", config_map("a"), config_map("b"))
    world.declare("c2", config_map("b"))

    world.declare("c3", config_map("b"))

    assert world.claims("a") == ["shop@c1 withdrawn"]
    world.drop_withdrawn()
    world.declare("c4", config_map("b"))
    assert world.claims("a") == []


def test_volumes_are_always_held() -> None:
    world = World()
    world.declare("c1", an_object("PersistentVolumeClaim", "data", "default"), config_map("a"))

    world.declare("c2", config_map("a"))

    assert world.claims("data", "PersistentVolumeClaim") == ["shop@c1 held"]


def test_what_is_held_stays_so_however_the_app_grows() -> None:
    world = World()
    many = [config_map(f"c{number:02}") for number in range(15)]
    rest = [config_map(f"d{number:02}") for number in range(40)]
    world.declare("c1", *many, config_map("kept"))
    world.declare("c2", config_map("kept"))

    for _ in range(2):
        world.declare("c3", *rest, config_map("kept"))
    world.declare("c4", *rest, config_map("kept"), *many[:12])

    assert world.claims("c13") == ["shop@c1 held"]
    assert world.status()["held"] == [
        "ConfigMap default/c12 (was in shop.yaml:13)",
        "ConfigMap default/c13 (was in shop.yaml:14)",
        "ConfigMap default/c14 (was in shop.yaml:15)",
    ]
    world.declare("c5", *rest, config_map("kept"), *many[:12], allow=("3",))
    assert world.claims("c13") == ["shop@c1 withdrawn"]


def test_a_namespace_is_held_while_something_in_it_is() -> None:
    world = World()
    claim, namespace = an_object("PersistentVolumeClaim", "data", "team"), an_object("Namespace", "team")
    world.declare("c1", claim, namespace, config_map("a"))
    world.put(claim)
    world.put(namespace)

    world.declare("c2", config_map("a"))
    world.declare("c3", config_map("a"), allow=("1",))

    assert world.claims("team", "Namespace", "") == ["shop@c1 held"]
    world.declare("c4", config_map("a"), allow=("2",))
    assert world.claims("team", "Namespace", "") == ["shop@c1 withdrawn"]
    assert world.claims("data", "PersistentVolumeClaim", "team") == ["shop@c1 withdrawn"]


def test_a_namespace_is_held_while_someone_elses_objects_are_in_it() -> None:
    world = World()
    namespace, pod = an_object("Namespace", "team"), an_object("Pod", "guest", "team")
    world.declare("c1", namespace, config_map("a"))
    world.put(namespace)
    world.put(pod)

    world.declare("c2", config_map("a"))

    assert world.claims("team", "Namespace", "") == ["shop@c1 held"]


def test_a_namespace_goes_with_what_the_app_itself_put_there() -> None:
    world = World()
    namespace, ours = an_object("Namespace", "team"), an_object("ConfigMap", "ours", "team")
    made: Any = an_object("Pod", "web-1", "team")
    made["metadata"]["ownerReferences"] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "ours", "uid": "u"}
    ]
    world.declare("c1", namespace, ours, config_map("a"))
    for obj in (namespace, ours, made):
        world.put(obj)

    world.declare("c2", config_map("a"))

    assert world.claims("team", "Namespace", "") == ["shop@c1 withdrawn"]


def test_a_definition_is_held_while_there_are_objects_of_it() -> None:
    world = World()
    definition = an_object(
        "CustomResourceDefinition",
        "things.example.com",
        api_version="apiextensions.k8s.io/v1",
        spec={"group": "example.com", "names": {"kind": "Thing"}},
    )
    world.declare("c1", definition, config_map("a"))
    world.put(definition)
    world.put(an_object("Thing", "one", "default", "example.com/v1"))

    world.declare("c2", config_map("a"))

    claims = world.claims("things.example.com", "CustomResourceDefinition", "", "apiextensions.k8s.io")
    assert claims == ["shop@c1 held"]


def test_a_report_keeps_what_was_declared_and_what_is_live() -> None:
    world = World()
    world.declare("c1", config_map("a"))

    world.store.commit_now(
        report(
            world.store.view(), "shop", {"problems": bounded(["a.yaml:1: wrong"] * 150)}, NOW, fetched="c2"
        )
    )

    status = world.status()
    assert status["commit"] == {"fetched": "c2", "declared": "c1"}
    assert len(status["problems"]) == 101
    assert status["problems"][-1] == "… and 50 more"
    assert world.claims("a") == ["shop@c1 declared"]


def test_what_is_gone_is_written_in_the_order_of_its_keys() -> None:
    """Not in the order of a set's hashes: a replay of the same commits gives the same history."""
    world = World("shop")
    names = [f"c{number:02}" for number in range(20)]
    world.declare("c1", config_map("kept"), *map(config_map, names))

    txn = world.declare("c2", config_map("kept"), allow=("all",))

    assert [key.name for op in txn.ops if (key := key_of(cast(Put, op).obj)).name != "shop"] == names
