"""What comes first in a commit, what it waits for, and who wakes it."""

from typing import Any

import orjson
import pytest

from gitops.controllers.apply import APPLY, reconcile
from gitops.controllers.apply_order import references
from gitops.entry import Packed
from gitops.kinds.core.config import CONFIG_MAP
from gitops.kinds.objects import key_of, with_meta
from gitops.view import Change, View, position
from tests.unit.admission.builders import NOW, World, config_map, deployment
from tests.unit.controllers.declared import claim, declare, live, record, settle, status_of
from tests.unit.test_entry import Json

MOUNTED: Any = {
    "serviceAccountName": "robot",
    "priorityClassName": "high",
    "imagePullSecrets": [{"name": "registry"}],
    "containers": [
        {
            "name": "web",
            "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "token", "key": "a"}}}],
            "envFrom": [{"configMapRef": {"name": "settings"}}],
        }
    ],
    "volumes": [
        {"name": "a", "secret": {"secretName": "tls"}},
        {
            "name": "b",
            "projected": {"sources": [{"configMap": {"name": "more"}}, {"secret": {"name": "key"}}]},
        },
        {"name": "c", "persistentVolumeClaim": {"claimName": "disk"}},
    ],
}
POD_REFERENCES = {
    "ServiceAccount shop/robot",
    "PriorityClass.scheduling.k8s.io high",
    "Secret shop/registry",
    "Secret shop/token",
    "ConfigMap shop/settings",
    "Secret shop/tls",
    "ConfigMap shop/more",
    "Secret shop/key",
    "PersistentVolumeClaim shop/disk",
}


def an_object(api_version: str, kind: str, **body: Any) -> Any:
    meta = {"name": "web", "namespace": "shop"}
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, **body}


REFERENCES = {
    "a pod": (an_object("v1", "Pod", spec=MOUNTED), POD_REFERENCES),
    "a workload by its template": (
        an_object("apps/v1", "StatefulSet", spec={"template": {"spec": MOUNTED}}),
        POD_REFERENCES,
    ),
    "a cron job": (
        an_object("batch/v1", "CronJob", spec={"jobTemplate": {"spec": {"template": {"spec": MOUNTED}}}}),
        POD_REFERENCES,
    ),
    "an ingress": (
        an_object(
            "networking.k8s.io/v1", "Ingress", spec={"ingressClassName": "x", "tls": [{"secretName": "s"}]}
        ),
        {"IngressClass.networking.k8s.io x", "Secret shop/s"},
    ),
    "a role binding": (
        an_object(
            "rbac.authorization.k8s.io/v1", "RoleBinding", roleRef={"kind": "ClusterRole", "name": "r"}
        ),
        {"ClusterRole.rbac.authorization.k8s.io r"},
    ),
    "a config map": (an_object("v1", "ConfigMap"), set[str]()),
    "nonsense": (an_object("apps/v1", "Deployment", spec=[{"template": 3}]), set[str]()),
}


@pytest.mark.parametrize(("stated", "expected"), REFERENCES.values(), ids=REFERENCES.keys())
def test_an_object_comes_after_what_it_refers_to(stated: Any, expected: set[str]) -> None:
    assert {str(key) for key in references(stated)} == expected


def using(name: str, commit: str = "c1") -> Any:
    return claim(deployment(1, envFrom=[{"configMapRef": {"name": name}}]), commit=commit)


def test_a_workload_comes_after_its_settings_says_so_and_is_woken_by_them() -> None:
    world = World()
    workload = declare(world, using("settings"))
    settings = declare(world, claim(config_map(a="1")))

    settle(world, workload)

    assert live(world, workload) is None
    assert status_of(world, workload) == {
        "after": "it comes after ConfigMap shop/settings, which is on its way"
    }
    settle(world, settings)
    trigger = next(one for one in APPLY.triggers if one.group == "declared.gitward.io")
    record: Any = world.view.object(settings)
    assert list(trigger.keys(world.view, record)) == [settings, workload]
    settle(world, workload)
    assert status_of(world, workload) == {"applied": "c1"}
    assert list(trigger.keys(world.view, record)) == [settings]


def test_new_settings_are_live_before_the_pods_that_a_commit_changes_with_them() -> None:
    world = World()
    workload, settings = declare(world, using("settings")), declare(world, claim(config_map(a="1")))
    settle(world, settings, workload)

    declare(world, claim(config_map(a="2"), commit="c2"))
    declare(world, claim(deployment(5, envFrom=[{"configMapRef": {"name": "settings"}}]), commit="c2"))
    settle(world, workload)

    assert live(world, workload)["spec"]["replicas"] == 1
    settle(world, settings, workload)
    assert live(world, workload)["spec"]["replicas"] == 5


def test_settings_that_cannot_be_applied_hold_up_no_other() -> None:
    world = World()
    workload, settings = (
        declare(world, using("settings")),
        declare(world, claim(config_map(**{"no key!": "1"}))),
    )

    settle(world, settings, workload)

    assert "problem" in status_of(world, settings)
    assert live(world, workload) is not None


def test_settings_that_wait_themselves_hold_up_no_other() -> None:
    world = World()
    stored = world.create(CONFIG_MAP, config_map(a="0"))
    world.put(with_meta(stored, finalizers=["a/b"], deletionTimestamp="2026-03-01T11:00:00Z"))
    workload, settings = declare(world, using("settings")), declare(world, claim(config_map(a="1")))

    settle(world, settings, workload)

    assert "still being deleted" in status_of(world, settings)["waiting"]
    assert live(world, workload) is not None


def test_settings_that_nobody_declares_are_not_waited_for() -> None:
    world = World()
    workload = declare(world, using("elsewhere"))

    settle(world, workload)

    assert live(world, workload) is not None


def test_drift_is_put_back_though_the_settings_are_on_their_way() -> None:
    world = World()
    workload, settings = declare(world, using("settings")), declare(world, claim(config_map(a="1")))
    settle(world, settings, workload)
    found = live(world, workload)
    declare(world, claim(config_map(a="2"), commit="c2"))

    world.put({**found, "spec": {**found["spec"], "replicas": 9}})

    assert reconcile(world.view, workload, NOW).update


def test_a_namespace_that_changes_costs_what_is_declared_in_it() -> None:
    """Symptom: each of 300 new namespaces had all 10,000 records opened, 0.2 s each time."""
    view, opener = View(), Json()
    for index, namespace in enumerate(("shop", "shop", "a", "b", "c")):
        one = record(claim(with_meta(config_map(f"m{index}"), namespace=namespace)))
        change = Change(position(1, index), key_of(one), None, one, NOW)
        view.apply(change, Packed(orjson.dumps(one), opener), cold=True)
    view.advance(1)
    place: Any = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    trigger = next(one for one in APPLY.triggers if one.kind == "Namespace")

    assert [key.name for key in trigger.keys(view, place)] == ["m0", "m1"]
    assert opener.opened == 2
