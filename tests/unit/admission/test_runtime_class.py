"""What a pod's runtime class adds to it, and what it refuses."""

from typing import Any

import pytest

from gitops.admission.runtime_class import merged
from gitops.kinds.core.amounts import requests_of
from gitops.kinds.core.pod import POD
from gitops.kinds.errors import Forbidden, Invalid
from gitops.kinds.node import RUNTIME_CLASS
from tests.unit.admission.builders import World, pod

OVERHEAD = {"podFixed": {"cpu": "250m", "memory": "64Mi"}}
SANDBOXED: Any = {"key": "sandboxed", "operator": "Exists", "effect": "NoSchedule"}


def runtime_class(name: str = "gvisor", **fields: Any) -> Any:
    meta = {"name": name, "uid": f"class-{name}"}
    return {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": meta,
        "handler": "runsc",
        **fields,
    }


def created(found: Any = None, **spec: Any) -> Any:
    world = World(*([found] if found else []))
    return world.create(POD, pod(**spec))


def test_what_a_pod_takes_beside_its_containers_is_its_class_and_is_counted() -> None:
    container = {"name": "app", "image": "web", "resources": {"requests": {"cpu": "1"}}}

    made = created(runtime_class(overhead=OVERHEAD), runtimeClassName="gvisor", containers=[container])

    assert made["spec"]["overhead"] == {"cpu": "250m", "memory": "64Mi"}
    assert requests_of(made) == {"cpu": 1250, "memory": 64 << 20}


def test_where_it_may_run_is_added_to_what_the_pod_says() -> None:
    scheduling = {"nodeSelector": {"runtime": "gvisor"}, "tolerations": [SANDBOXED]}

    spec = created(
        runtime_class(scheduling=scheduling), runtimeClassName="gvisor", nodeSelector={"disk": "ssd"}
    )["spec"]

    assert spec["nodeSelector"] == {"disk": "ssd", "runtime": "gvisor"}
    assert spec["tolerations"][-1] == SANDBOXED
    assert len(spec["tolerations"]) == 3


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no such class": (None, {"runtimeClassName": "gvisor"}, 'pod rejected: RuntimeClass "gvisor" not found'),
    "another overhead": (
        runtime_class(overhead=OVERHEAD),
        {"runtimeClassName": "gvisor", "overhead": {"cpu": "1"}},
        "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
    ),
    "an overhead without a class": (
        None,
        {"overhead": {"cpu": "1"}},
        "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
    ),
    "another node": (
        runtime_class(scheduling={"nodeSelector": {"runtime": "gvisor"}}),
        {"runtimeClassName": "gvisor", "nodeSelector": {"runtime": "kata"}},
        "conflict: runtimeClass.scheduling.nodeSelector[runtime] = gvisor; pod.spec.nodeSelector[runtime] = kata",
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_a_pod_that_contradicts_its_class_is_refused(case: tuple[Any, dict[str, Any], str]) -> None:
    found, spec, why = case

    with pytest.raises(Forbidden) as refused:
        created(found, **spec)

    assert str(refused.value).endswith(f"is forbidden: {why}")


def test_the_same_overhead_in_other_words_is_the_same() -> None:
    found = runtime_class(overhead=OVERHEAD)

    made = created(found, runtimeClassName="gvisor", overhead={"cpu": "0.25", "memory": "65536Ki"})

    assert made["spec"]["overhead"] == {"cpu": "250m", "memory": "64Mi"}


MERGED: dict[str, tuple[list[Any], list[Any]]] = {
    "equal ones are one": ([SANDBOXED, {**SANDBOXED}], [SANDBOXED]),
    "one for everything takes all others in": ([SANDBOXED, {"operator": "Exists"}], [{"operator": "Exists"}]),
    "one for every effect": ([{"key": "sandboxed", "operator": "Exists"}, SANDBOXED], [
        {"key": "sandboxed", "operator": "Exists"}
    ]),
    "a longer stay takes a shorter one in": (
        [
            {"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5},
            {"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 9},
        ],
        [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 9}],
    ),
    "one without an end is not taken in": (
        [
            {"key": "a", "operator": "Exists", "effect": "NoExecute"},
            {"key": "a", "operator": "Equal", "value": "1", "effect": "NoExecute", "tolerationSeconds": 9},
        ],
        [{"key": "a", "operator": "Exists", "effect": "NoExecute"}],
    ),
    "other values stay": (
        [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}],
        [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MERGED.values(), ids=MERGED.keys())
def test_tolerations_are_merged(case: tuple[list[Any], list[Any]]) -> None:
    stated, wanted = case

    assert merged(stated) == wanted


def test_a_classs_handler_is_a_name_and_stays() -> None:
    world = World()
    world.create(RUNTIME_CLASS, runtime_class())

    with pytest.raises(Invalid, match="handler: Invalid value"):
        world.create(RUNTIME_CLASS, runtime_class("other", handler="io.containerd.runsc.v1"))
    told = list(RUNTIME_CLASS.check_update(runtime_class(), runtime_class(handler="kata")))
    assert [(one.field, one.message) for one in told] == [
        ("handler", 'Invalid value: "kata": field is immutable')
    ]
