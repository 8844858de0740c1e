"""Create and update through admission: what the server sets, what it refuses, and in which words."""

from typing import Any, cast

import pytest

from gitops.admission import refuse_delete
from gitops.kinds.apps import DEPLOYMENT
from gitops.kinds.core.config import CONFIG_MAP, SECRET, ConfigMap, Secret
from gitops.kinds.core.namespace import NAMESPACE
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD
from gitops.kinds.core.service import SERVICE
from gitops.kinds.errors import AlreadyExists, BadRequest, Conflict, Forbidden, Invalid, NotFound
from gitops.kinds.keys import Key
from gitops.kinds.objects import with_meta
from gitops.kinds.sensitive import Sensitive
from tests.unit.admission.builders import World, config_map, deployment, namespace, pod, service


def test_a_new_object_gets_what_only_the_server_sets() -> None:
    stated = with_meta(deployment(), uid="mine", creationTimestamp="2001-01-01T00:00:00Z", generation=9)

    meta = World().create(DEPLOYMENT, stated)["metadata"]

    assert meta["uid"] == "uid-1"
    assert meta["creationTimestamp"] == "2026-03-01T12:00:00Z"
    assert meta["generation"] == 1


def test_a_generated_name_has_five_characters_more() -> None:
    stated = with_meta(pod(), name=None, generateName="web-7d9c-")

    assert World().create(POD, stated)["metadata"]["name"] == "web-7d9c-00001"


def test_a_new_object_starts_without_status() -> None:
    created = World().create(DEPLOYMENT, cast(Any, {**deployment(), "status": {"replicas": 3}}))

    assert created.get("status", {}) == {}


def test_a_node_brings_its_own_status() -> None:
    node: Any = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "n1"},
        "status": {"capacity": {"cpu": "2"}},
    }

    assert World().create(NODE, node)["status"]["capacity"] == {"cpu": "2"}


def test_a_missing_namespace_is_not_found() -> None:
    with pytest.raises(NotFound, match=r'^namespaces "lost" not found$'):
        World().create(POD, with_meta(pod(), namespace="lost"))


def test_nothing_is_created_in_a_namespace_that_is_going() -> None:
    world = World(namespace("old", deletionTimestamp="2026-03-01T11:00:00Z"))

    with pytest.raises(Forbidden) as refused:
        world.create(POD, with_meta(pod(), namespace="old"))

    assert str(refused.value) == (
        'pods "web" is forbidden: unable to create new content in namespace old because it is being terminated'
    )


def test_a_name_that_is_taken_is_told() -> None:
    world = World()
    world.create(POD, pod())

    with pytest.raises(AlreadyExists, match=r'^pods "web" already exists$'):
        world.create(POD, pod())


def test_another_kind_is_a_bad_request() -> None:
    with pytest.raises(BadRequest):
        World().create(cast(Any, SERVICE), pod())


def test_broken_rules_are_told_in_kubernetes_words() -> None:
    with pytest.raises(Invalid) as refused:
        World().create(DEPLOYMENT, deployment(-1))

    assert str(refused.value) == (
        'Deployment.apps "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0'
    )
    assert refused.value.causes == (
        ("spec.replicas", "Invalid value: -1: must be greater than or equal to 0"),
    )


def test_a_broken_shape_is_told_before_defaults_trip_over_it() -> None:
    stated: Any = pod(containers=[{"name": "web", "image": "nginx", "ports": [{"port": 80}]}])

    with pytest.raises(Invalid, match=r"spec\.containers\[0\]\.ports\[0\]"):
        World().create(POD, stated)


def test_a_name_with_capitals_is_refused() -> None:
    with pytest.raises(Invalid, match="lowercase RFC 1123 subdomain"):
        World().create(POD, with_meta(pod(), name="Web"))


def test_nulls_are_dropped_as_by_kubernetes_decoder() -> None:
    stated: Any = {**config_map(a="1"), "binaryData": None}

    assert "binaryData" not in World().create(CONFIG_MAP, stated)


def test_a_pod_gets_account_priority_and_tolerations() -> None:
    spec = World().create(POD, pod())["spec"]

    assert spec["serviceAccountName"] == "default"
    assert spec["priority"] == 0
    assert spec["tolerations"] == [
        {
            "key": "node.kubernetes.io/not-ready",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": 300,
        },
        {
            "key": "node.kubernetes.io/unreachable",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": 300,
        },
    ]


def test_a_pod_that_tolerates_everything_gets_no_more_tolerations() -> None:
    everything = [{"operator": "Exists"}]

    assert World().create(POD, pod(tolerations=everything))["spec"]["tolerations"] == everything


def test_a_pod_starts_pending_with_its_class_of_service() -> None:
    assert World().create(POD, pod()).get("status") == {"phase": "Pending", "qosClass": "BestEffort"}


def test_a_namespace_gets_label_finalizer_and_phase() -> None:
    stated: Any = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}

    created = World().create(NAMESPACE, stated)

    assert created["metadata"]["labels"] == {"kubernetes.io/metadata.name": "team"}
    assert created["spec"] == {"finalizers": ["kubernetes"]}
    assert created.get("status") == {"phase": "Active"}


def test_a_secret_is_sealed_and_its_text_becomes_data() -> None:
    stated: Any = {**config_map(), "kind": "Secret", "stringData": {"token": "hi"}}
    del stated["data"]

    created: Secret = World().create(SECRET, stated)

    assert created.get("data") == {"token": Sensitive("aGk=")}
    assert "stringData" not in created


def test_a_sealed_config_map_stays_sealed() -> None:
    world = World()
    stored: ConfigMap = world.create(CONFIG_MAP, config_map(a=Sensitive("1")))

    changed = world.update(CONFIG_MAP, cast(ConfigMap, {**stored, "data": {"a": "2", "b": "3"}}))

    assert changed is not None
    assert changed.get("data") == {"a": Sensitive("2"), "b": Sensitive("3")}


def test_an_update_that_changes_nothing_gives_the_old_object() -> None:
    world = World()
    stored = world.create(DEPLOYMENT, deployment(), manager="kubectl")

    changed = world.update(DEPLOYMENT, stored, manager="kubectl")

    assert changed == with_meta(
        stored, resourceVersion=changed and changed["metadata"].get("resourceVersion")
    )


def test_a_changed_spec_is_a_new_generation() -> None:
    world = World()
    stored: Any = world.create(DEPLOYMENT, deployment(3))

    changed = world.update(DEPLOYMENT, {**stored, "spec": {**stored["spec"], "replicas": 4}})

    assert changed is not None
    assert changed["metadata"].get("generation") == 2


def test_labels_and_status_are_no_new_generation() -> None:
    world = World()
    stored: Any = world.create(DEPLOYMENT, deployment(3))

    world.update(DEPLOYMENT, with_meta(stored, labels={"a": "b"}))
    changed = world.update(
        DEPLOYMENT, {**world.read(DEPLOYMENT, "shop", "web"), "status": {"replicas": 1}}, subresource="status"
    )

    assert changed is not None
    assert changed["metadata"].get("generation") == 1


def test_the_main_road_leaves_the_status() -> None:
    world = World()
    stored: Any = world.create(DEPLOYMENT, deployment(3))

    changed: Any = world.update(DEPLOYMENT, {**stored, "status": {"replicas": 9}})

    assert changed.get("status", {}) == {}


def test_the_status_road_leaves_the_spec() -> None:
    world = World()
    stored: Any = world.create(DEPLOYMENT, deployment(3))
    both = {**stored, "spec": {**stored["spec"], "replicas": 9}, "status": {"replicas": 1}}

    changed: Any = world.update(DEPLOYMENT, both, subresource="status")

    assert changed["spec"]["replicas"] == 3
    assert changed["status"] == {"replicas": 1}


def test_an_update_made_from_a_former_object_is_a_conflict() -> None:
    world = World()
    stored = world.create(POD, pod())

    with pytest.raises(Conflict, match="the UID in the precondition"):
        world.update(POD, with_meta(stored, uid="another"))


def test_an_update_cannot_undo_a_deletion() -> None:
    world = World()
    world.put(
        with_meta(world.create(POD, pod()), deletionTimestamp="2026-03-01T12:00:30Z", finalizers=["a/b"])
    )

    changed = world.update(POD, with_meta(world.read(POD, "shop", "web"), deletionTimestamp=None))

    assert changed is not None
    assert changed["metadata"].get("deletionTimestamp") == "2026-03-01T12:00:30Z"


def test_taking_the_last_finalizer_lets_a_going_object_vanish() -> None:
    world = World()
    stored = world.put(with_meta(world.create(CONFIG_MAP, config_map()), finalizers=["a/b"]))
    world.delete(Key("", "ConfigMap", "shop", "settings"))

    world.update(CONFIG_MAP, with_meta(stored, finalizers=None))

    assert world.view.object(Key("", "ConfigMap", "shop", "settings")) is None


def test_no_finalizer_is_added_to_what_is_going() -> None:
    world = World()
    stored = world.put(with_meta(world.create(CONFIG_MAP, config_map()), finalizers=["a/b"]))
    world.delete(Key("", "ConfigMap", "shop", "settings"))

    with pytest.raises(Invalid, match="no new finalizers can be added if the object is being deleted"):
        world.update(CONFIG_MAP, with_meta(stored, finalizers=["a/b", "c/d"]))


def test_what_is_immutable_is_refused() -> None:
    world = World()
    stored: Any = world.create(DEPLOYMENT, deployment(3))
    other = {"matchLabels": {"app": "web", "tier": "front"}}
    template = {**stored["spec"]["template"], "metadata": {"labels": other["matchLabels"]}}

    with pytest.raises(Invalid, match=r"spec\.selector: .*field is immutable"):
        world.update(
            DEPLOYMENT, {**stored, "spec": {**stored["spec"], "selector": other, "template": template}}
        )


def test_the_finalizer_of_a_namespace_stays_until_it_is_going() -> None:
    world = World()
    stored: Any = world.read(NAMESPACE, "", "shop")

    changed: Any = world.update(NAMESPACE, {**stored, "spec": {"finalizers": []}})
    assert changed["spec"] == {"finalizers": ["kubernetes"]}

    world.delete(Key("", "Namespace", "", "shop"))
    labelled: Any = world.update(NAMESPACE, with_meta(world.read(NAMESPACE, "", "shop"), labels={"a": "b"}))
    assert labelled["spec"] == {"finalizers": ["kubernetes"]}
    gone = world.update(NAMESPACE, {**changed, "spec": {"finalizers": []}})
    assert gone is None


def test_a_plain_create_records_its_manager_but_no_defaults() -> None:
    created = World().create(POD, pod(), manager="kubectl-create")

    (entry,) = created["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("kubectl-create", "Update")
    assert entry["fieldsV1"] == {
        "f:spec": {"f:containers": {'k:{"name":"web"}': {".": {}, "f:image": {}, "f:name": {}}}}
    }


def test_deleting_what_a_source_declares_is_refused_with_the_place() -> None:
    world = World()
    stored: Any = world.create(SERVICE, service())
    record: Any = {
        "apiVersion": "declared.gitward.io/v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop"},
        "claims": [{"source": "shop", "file": "apps/web.yaml", "line": 7, "state": "declared"}],
    }

    refuse_delete(world.view, SERVICE, stored)
    world.put(record)
    with pytest.raises(Forbidden) as refused:
        refuse_delete(world.view, SERVICE, stored)

    assert str(refused.value) == (
        'services "web" is forbidden: source shop declares it at apps/web.yaml:7: change it there'
    )
