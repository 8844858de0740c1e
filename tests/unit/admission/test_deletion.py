"""What a deletion writes: pods have time to stop, finalizers hold, namespaces are emptied first."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import pytest

from gitops.admission import admit_delete
from gitops.kinds.core.config import CONFIG_MAP, ConfigMap
from gitops.kinds.core.namespace import NAMESPACE
from gitops.kinds.core.pod import POD, Pod
from gitops.kinds.errors import Forbidden
from gitops.kinds.objects import key_of, with_meta
from gitops.store.contract import Delete, Put
from tests.unit.admission.builders import NOW, config_map, namespace, pod


@dataclass(frozen=True)
class Case:
    spec: dict[str, Any]
    phase: str = "Running"
    asked: int | None = None
    going_seconds: int | None = None  # Already being deleted, with this much grace, since NOW.
    grace: int | None = None  # What is written; None: nothing.
    removed: bool = False


RUNS = {"nodeName": "n1", "terminationGracePeriodSeconds": 30}
PODS = {
    "the specification says how long": Case(RUNS, grace=30),
    "the caller may say otherwise": Case(RUNS, asked=5, grace=5),
    "zero is now": Case(RUNS, asked=0, removed=True),
    "negative is one second": Case(RUNS, asked=-1, grace=1),
    "no end that a calendar has no day for": Case(
        {"nodeName": "n1", "terminationGracePeriodSeconds": 2**63 - 1}, grace=2**31 - 1
    ),
    "nor if the caller says so": Case(RUNS, asked=2**63 - 1, grace=2**31 - 1),
    "no node runs it": Case({}, removed=True),
    "it has ended": Case(RUNS, phase="Succeeded", removed=True),
    "a second deletion changes nothing": Case(RUNS, going_seconds=30),
    "a second deletion may shorten": Case(RUNS, going_seconds=30, asked=10, grace=10),
    "a second deletion may not prolong": Case(RUNS, going_seconds=10, asked=30),
    "a second deletion with zero ends it": Case(RUNS, going_seconds=30, asked=0, removed=True),
}


@pytest.mark.parametrize("case", PODS.values(), ids=PODS.keys())
def test_pods(case: Case) -> None:
    stored: Any = {**pod("web", **case.spec), "status": {"phase": case.phase}}
    if case.going_seconds is not None:
        stored = cast(Put, admit_delete(POD, stored, now=NOW, grace_seconds=case.going_seconds)).obj

    op = admit_delete(POD, stored, now=NOW + timedelta(seconds=1), grace_seconds=case.asked)

    assert isinstance(op, Delete) == case.removed
    found = op.obj["metadata"].get("deletionGracePeriodSeconds") if isinstance(op, Put) else None
    assert found == case.grace


def test_a_stopping_pod_has_the_end_of_its_time_and_a_new_generation() -> None:
    stored = with_meta(pod("web", **RUNS), generation=1, resourceVersion="65537")

    op = admit_delete(POD, stored, now=NOW)

    assert isinstance(op, Put)
    assert op.expect == 65537
    assert op.obj["metadata"].get("deletionTimestamp") == "2026-03-01T12:00:30Z"
    assert op.obj["metadata"].get("generation") == 2


def test_a_shortened_time_counts_from_the_first_deletion() -> None:
    first = admit_delete(POD, pod("web", **RUNS), now=NOW)
    assert isinstance(first, Put)

    op = admit_delete(POD, cast(Pod, first.obj), now=NOW + timedelta(seconds=3), grace_seconds=10)

    assert isinstance(op, Put)
    assert op.obj["metadata"].get("deletionTimestamp") == "2026-03-01T12:00:10Z"


def test_other_kinds_go_at_once() -> None:
    stored = config_map()

    assert admit_delete(CONFIG_MAP, stored, now=NOW) == Delete(key_of(stored))


def test_a_finalizer_holds() -> None:
    op = admit_delete(CONFIG_MAP, with_meta(config_map(), finalizers=["a/b"]), now=NOW)

    assert isinstance(op, Put)
    assert op.obj["metadata"].get("deletionTimestamp") == "2026-03-01T12:00:00Z"
    assert admit_delete(CONFIG_MAP, cast(ConfigMap, op.obj), now=NOW) is None


def test_a_namespace_is_emptied_before_it_goes() -> None:
    op = admit_delete(NAMESPACE, namespace("team"), now=NOW)

    assert isinstance(op, Put)
    emptied: Any = op.obj
    assert emptied["metadata"]["deletionTimestamp"] == "2026-03-01T12:00:00Z"
    assert emptied["status"] == {"phase": "Terminating"}
    assert admit_delete(NAMESPACE, emptied, now=NOW) is None


def test_the_namespaces_of_every_cluster_stay() -> None:
    with pytest.raises(
        Forbidden, match=r'^namespaces "default" is forbidden: this namespace may not be deleted$'
    ):
        admit_delete(NAMESPACE, namespace("default"), now=NOW)
