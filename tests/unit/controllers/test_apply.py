"""Declared becomes live: applied in order, drift put back; an object that fails stops no other."""

from typing import Any

import pytest

from gitops.controllers.apply import APPLY, failed, reconcile
from gitops.kinds import registry
from gitops.kinds.apps import DEPLOYMENT
from gitops.kinds.core.config import CONFIG_MAP, SECRET
from gitops.kinds.core.pod import POD
from gitops.kinds.core.service import SERVICE
from gitops.kinds.errors import Forbidden
from gitops.kinds.keys import Key
from gitops.kinds.objects import key_of, with_meta
from gitops.kinds.sensitive import Sensitive
from gitops.reconcile import NOTHING
from tests.unit.admission.builders import NOW, World, config_map, deployment, namespace, pod, service
from tests.unit.controllers.declared import claim, declare, live, record, settle, status_of

STATED = {
    "a deployment": deployment(3, env=[{"name": "A", "value": "1"}], ports=[{"containerPort": 80}]),
    "a deployment with quantities written in another way": deployment(
        1, resources={"limits": {"cpu": "1000m", "memory": "1024Mi"}}
    ),
    "a service": service(ports=[{"port": 80, "targetPort": "http"}]),
    "a headless service": service(clusterIP="None"),
    "a config map": config_map(a="1"),
    "a pod": pod(),
    "a pod with tolerations of its own": pod(tolerations=[{"key": "gpu", "operator": "Exists"}]),
    "a namespace": {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}},
    "a secret in clear text": {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "token", "namespace": "shop"},
        "stringData": {"token": "hi"},
    },
    "a config map of an encrypted file": config_map(a=Sensitive("1")),
}


@pytest.mark.parametrize("stated", STATED.values(), ids=STATED.keys())
def test_what_is_declared_becomes_live_and_stays_as_it_is(stated: Any) -> None:
    world = World()
    key = declare(world, claim(stated))

    assert settle(world, key) == 1

    assert live(world, key)["metadata"]["managedFields"][0]["manager"] == "gitward"
    assert status_of(world, key) == {"applied": "c1"}


@pytest.mark.parametrize("stated", STATED.values(), ids=STATED.keys())
def test_a_new_commit_with_the_same_object_only_notes_the_commit(stated: Any) -> None:
    world = World()
    key = declare(world, claim(stated))
    settle(world, key)
    before = live(world, key)

    declare(world, claim(stated, commit="c2"))
    settle(world, key)

    after = live(world, key)
    assert with_meta(after, resourceVersion=None) == with_meta(before, resourceVersion=None)
    assert status_of(world, key) == {"applied": "c2"}


def test_what_a_runtime_class_adds_to_a_pod_is_no_drift() -> None:
    toleration: Any = {"key": "sandboxed", "operator": "Exists", "effect": "NoSchedule"}
    found: Any = {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": "gvisor", "uid": "class"},
        "handler": "runsc",
        "overhead": {"podFixed": {"cpu": "100m"}},
        "scheduling": {"nodeSelector": {"runtime": "gvisor"}, "tolerations": [toleration]},
    }
    own: Any = {"key": "gpu", "operator": "Exists"}

    def stated(image: str) -> Any:
        containers = [{"name": "app", "image": image}]
        fields = {"runtimeClassName": "gvisor", "nodeSelector": {"disk": "ssd"}, "tolerations": [own]}
        return pod(containers=containers, **fields)

    world = World(found)
    key = declare(world, claim(stated("web:1")))

    assert settle(world, key) == 1

    declare(world, claim(stated("web:2"), commit="c2"))
    settle(world, key)
    after: Any = live(world, key)
    assert status_of(world, key) == {"applied": "c2"}
    assert after["spec"]["containers"][0]["image"] == "web:2"
    assert own in after["spec"]["tolerations"]
    assert toleration in after["spec"]["tolerations"]


def test_a_changed_field_changes_the_live_object() -> None:
    world = World()
    key = declare(world, claim(deployment(3)))
    settle(world, key)

    declare(world, claim(deployment(5), commit="c2"))
    settle(world, key)

    assert live(world, key)["spec"]["replicas"] == 5
    assert live(world, key)["metadata"]["generation"] == 2


def test_a_field_that_left_the_declaration_falls_back_to_its_default() -> None:
    world = World()
    key = declare(world, claim(deployment(3)))
    settle(world, key)

    declare(world, claim(deployment(None), commit="c2"))
    settle(world, key)

    assert live(world, key)["spec"]["replicas"] == 1


def test_drift_is_put_back_and_what_git_leaves_out_stays() -> None:
    world = World()
    key = declare(world, claim(deployment(3)))
    settle(world, key)
    found = live(world, key)
    spec = {**found["spec"], "replicas": 9, "minReadySeconds": 7}
    world.update(DEPLOYMENT, {**found, "spec": spec}, manager="kubectl-edit")

    settle(world, key)

    assert live(world, key)["spec"]["replicas"] == 3
    assert live(world, key)["spec"]["minReadySeconds"] == 7


def test_status_and_labels_of_others_are_no_drift() -> None:
    world = World()
    key = declare(world, claim(deployment(3)))
    settle(world, key)
    found = live(world, key)
    labels = {**found["metadata"]["labels"], "team": "a"}
    world.put({**with_meta(found, labels=labels), "status": {"replicas": 3}})

    assert not reconcile(world.view, key, NOW)


def test_an_object_that_someone_deleted_comes_back() -> None:
    world = World()
    key = declare(world, claim(config_map(a="1")))
    settle(world, key)
    world.remove(Key("", "ConfigMap", "shop", "settings"))

    settle(world, key)

    assert live(world, key)["data"] == {"a": "1"}


def test_an_object_that_people_made_before_is_adopted() -> None:
    world = World()
    world.create(CONFIG_MAP, config_map(a="0", b="2"), manager="kubectl")

    key = declare(world, claim(config_map(a="1")))
    settle(world, key)

    assert live(world, key)["data"] == {"a": "1", "b": "2"}


def test_objects_wait_for_their_namespace_and_say_so() -> None:
    world = World()
    stated = with_meta(config_map(a="1"), namespace="team")
    key = declare(world, claim(stated, line=4))
    settle(world, key)

    assert live(world, key) is None
    assert status_of(world, key) == {
        "waiting": "shop/web.yaml:4: ConfigMap team/settings: there is no namespace team"
    }


def test_objects_wait_in_silence_for_a_namespace_of_the_same_commit() -> None:
    world = World()
    key = declare(world, claim(with_meta(config_map(a="1"), namespace="team")))
    space = declare(world, claim({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}))

    assert reconcile(world.view, key, NOW) is NOTHING
    settle(world, key, space)

    assert live(world, key)["data"] == {"a": "1"}
    assert status_of(world, key) == {"applied": "c1"}


def test_a_namespace_that_comes_wakes_those_that_wait_for_it() -> None:
    world = World()
    key = declare(world, claim(with_meta(config_map(a="1"), namespace="team")))
    declare(world, claim(config_map(a="1")))
    settle(world, key)

    trigger = next(one for one in APPLY.triggers if one.kind == "Namespace")
    assert list(trigger.keys(world.view, world.put(namespace("team")))) == [key]


def test_an_object_of_an_unknown_kind_waits() -> None:
    world = World()
    stated: Any = {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "w", "namespace": "shop"},
    }
    key = declare(world, claim(stated))

    settle(world, key)

    assert status_of(world, key) == {
        "waiting": "shop/web.yaml:1: Widget.example.com shop/w: no kind Widget of example.com is served yet"
    }


def test_an_object_waits_until_its_predecessor_is_gone() -> None:
    world = World()
    stored = world.create(CONFIG_MAP, config_map(a="0"))
    world.put(with_meta(stored, finalizers=["a/b"], deletionTimestamp="2026-03-01T11:00:00Z"))

    key = declare(world, claim(config_map(a="1")))
    settle(world, key)
    assert "still being deleted" in status_of(world, key)["waiting"]

    world.remove(key_of(stored))
    settle(world, key)
    assert live(world, key)["data"] == {"a": "1"}


def test_an_immutable_field_is_reported_with_its_place_and_stops_no_other() -> None:
    world = World()
    first = declare(world, claim(deployment(1), line=14))
    settle(world, first)
    changed = deployment(1)
    changed["spec"]["selector"] = {"matchLabels": {"app": "web", "tier": "front"}}
    changed["spec"]["template"]["metadata"]["labels"] = {"app": "web", "tier": "front"}
    declare(world, claim(changed, commit="c2", line=14))
    second = declare(world, claim(config_map(a="1"), commit="c2"))

    settle(world, first, second)

    told = status_of(world, first)
    assert told["applied"] == "c1"
    assert told["problem"].startswith("shop/web.yaml:14: Deployment.apps shop/web: ")
    assert "field is immutable" in told["problem"]
    assert live(world, second) is not None


def test_a_problem_goes_when_its_cause_goes() -> None:
    world = World()
    key = declare(world, claim(deployment(-1)))
    settle(world, key)
    assert "must be greater than or equal to 0" in status_of(world, key)["problem"]

    declare(world, claim(deployment(2), commit="c2"))
    settle(world, key)

    assert status_of(world, key) == {"applied": "c2"}


def test_an_item_that_is_named_twice_is_a_problem() -> None:
    world = World()
    key = declare(world, claim(deployment(1, env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}])))

    settle(world, key)

    assert 'duplicate entries for key [name="A"]' in status_of(world, key)["problem"]


def test_a_refusal_by_the_store_is_told_in_the_record() -> None:
    world = World()
    key = declare(world, claim(config_map(a="1"), line=3))

    writes = failed(world.view, key, Forbidden("quota exceeded"), NOW)

    assert writes.status is not None
    told: Any = writes.status
    assert told["status"] == {"problem": "shop/web.yaml:3: ConfigMap shop/settings: quota exceeded"}


def test_a_live_object_wakes_its_record_and_nothing_else() -> None:
    world = World()
    key = declare(world, claim(config_map(a="1")))
    trigger = next(one for one in APPLY.triggers if one.group is None)

    assert list(trigger.keys(world.view, config_map())) == [key]
    assert list(trigger.keys(world.view, config_map("another"))) == []
    assert list(trigger.keys(world.view, record(claim(config_map())))) == []


def test_a_secret_is_nowhere_in_what_is_told() -> None:
    world = World()
    stated: Any = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "token", "namespace": "shop"},
        "data": {"k": Sensitive("czNjcjN0"), "not a key!": Sensitive("czNjcjN0")},
    }
    key = declare(world, claim(stated))

    settle(world, key)

    assert "problem" in status_of(world, key)
    assert "czNjcjN0" not in str(world.view.object(key))
    assert registry.find("", "Secret") is SECRET


def test_what_admission_adds_to_a_service_survives_a_new_commit() -> None:
    world = World()
    key = declare(world, claim(service()))
    settle(world, key)
    address = world.read(SERVICE, "shop", "web")["spec"].get("clusterIP")

    declare(world, claim(service(selector={"app": "api"}), commit="c2"))
    settle(world, key)

    spec = world.read(SERVICE, "shop", "web")["spec"]
    assert (spec.get("clusterIP"), spec.get("selector")) == (address, {"app": "api"})


def test_a_declared_pod_keeps_the_node_that_the_scheduler_gave_it() -> None:
    world = World()
    key = declare(world, claim(pod()))
    settle(world, key)
    found: Any = world.read(POD, "shop", "web")
    world.put({**found, "spec": {**found["spec"], "nodeName": "n1"}})

    assert settle(world, key) == 0
