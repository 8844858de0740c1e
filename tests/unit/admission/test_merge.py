"""Server-side apply: what is stated is set, what is no longer stated goes, what others own stays."""

from typing import Any, cast

import pytest

from gitops.admission import fields, merge, patches
from gitops.kinds import schema
from gitops.kinds.apps import DEPLOYMENT
from gitops.kinds.core.config import CONFIG_MAP, SECRET
from gitops.kinds.core.service import SERVICE
from gitops.kinds.errors import Invalid
from gitops.kinds.objects import KubeObject
from gitops.kinds.sensitive import Sensitive
from tests.unit.admission.builders import NOW, config_map, deployment, service

SHAPE = schema.root(DEPLOYMENT)


def applied(live: Any, stated: Any, manager: str = "gitward") -> Any:
    merged, _ = merge.apply(live, stated, manager, NOW, SHAPE)
    return merged


def container_of(obj: Any) -> Any:
    return obj["spec"]["template"]["spec"]["containers"][0]


def test_what_is_stated_is_owned_as_kubernetes_writes_it() -> None:
    live = applied(None, deployment(3))

    assert live["metadata"]["managedFields"] == [
        {
            "manager": "gitward",
            "operation": "Apply",
            "apiVersion": "apps/v1",
            "time": "2026-03-01T12:00:00Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:metadata": {"f:labels": {"f:app": {}}},
                "f:spec": {
                    "f:replicas": {},
                    "f:selector": {},
                    "f:template": {
                        "f:metadata": {"f:labels": {"f:app": {}}},
                        "f:spec": {
                            "f:containers": {'k:{"name":"web"}': {".": {}, "f:image": {}, "f:name": {}}}
                        },
                    },
                },
            },
        }
    ]


def test_applying_again_gives_the_very_same_object() -> None:
    live = applied(None, deployment(3))

    assert applied(live, deployment(3)) is live


def test_a_field_that_left_the_statement_goes() -> None:
    live = applied(None, deployment(3))

    assert "replicas" not in applied(live, deployment(None))["spec"]


def test_a_field_that_left_the_statement_stays_while_someone_else_states_it() -> None:
    live = applied(applied(None, deployment(3)), deployment(3), "kubectl")

    merged = applied(live, deployment(None))

    assert merged["spec"]["replicas"] == 3
    assert merge.owner_of(merged, ("f:spec", "f:replicas")) == ("kubectl",)


def test_what_nobody_owns_stays_beside_what_is_stated() -> None:
    live = applied(None, deployment(3))
    scaled = {**live, "spec": {**live["spec"], "minReadySeconds": 5}}

    assert applied(scaled, deployment(4))["spec"]["minReadySeconds"] == 5


def test_a_probe_that_left_the_statement_goes_with_the_defaults_in_it() -> None:
    probe = {"httpGet": {"path": "/", "port": 80}}
    live = applied(None, deployment(1, livenessProbe=probe))
    container = dict(container_of(live))
    container["livenessProbe"] = {**probe, "periodSeconds": 10}
    template = {**live["spec"]["template"], "spec": {"containers": [container]}}
    live = {**live, "spec": {**live["spec"], "template": template}}

    assert "livenessProbe" not in container_of(applied(live, deployment(1)))


def test_a_map_that_is_stated_empty_stays_when_its_last_field_goes() -> None:
    shape_free = deployment(1, securityContext={"runAsUser": 5})
    live = applied(None, shape_free)

    merged = applied(live, deployment(1, securityContext={}))

    assert container_of(merged)["securityContext"] == {}


def test_a_container_that_another_added_keeps_its_place() -> None:
    live = applied(None, deployment(1))
    sidecar = {"name": "proxy", "image": "envoy:1"}
    spec = {"containers": [sidecar, container_of(live)]}
    live = {**live, "spec": {**live["spec"], "template": {**live["spec"]["template"], "spec": spec}}}

    merged = applied(live, deployment(1, image="nginx:2"))

    names = [one["name"] for one in merged["spec"]["template"]["spec"]["containers"]]
    assert names == ["proxy", "web"]
    assert merged["spec"]["template"]["spec"]["containers"][1]["image"] == "nginx:2"


def test_a_label_of_someone_else_stays_and_ours_goes() -> None:
    live = applied(None, deployment(1))
    live = merge.own_update(
        live,
        {**live, "metadata": {**live["metadata"], "labels": {"app": "web", "team": "a"}}},
        "kubectl",
        NOW,
        SHAPE,
    )
    stated = deployment(1)
    stated["metadata"]["labels"] = {}

    assert applied(live, stated)["metadata"]["labels"] == {"team": "a"}


def test_a_selector_is_replaced_as_a_whole() -> None:
    live = applied(None, deployment(1))
    stated = deployment(1)
    stated["spec"]["selector"] = {"matchExpressions": [{"key": "app", "operator": "Exists"}]}

    assert applied(live, stated)["spec"]["selector"] == stated["spec"]["selector"]


def test_ports_without_a_protocol_are_the_same_as_those_with_tcp() -> None:
    shape = schema.root(SERVICE)
    live, _ = merge.apply(
        None, service(ports=[{"port": 80, "protocol": "TCP", "targetPort": 8080}]), "a", NOW, shape
    )

    merged, _ = merge.apply(live, service(ports=[{"port": 80, "targetPort": 9090}]), "b", NOW, shape)

    assert merged["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 9090}]


def test_another_value_on_a_field_of_someone_else_is_a_conflict() -> None:
    live = applied(None, deployment(3), "kubectl")

    merged, conflicts = merge.apply(live, deployment(5), "gitward", NOW, SHAPE, force=False)

    assert merged is live
    assert conflicts == (merge.FieldConflict("kubectl", "Apply", "apps/v1", ".spec.replicas"),)


def test_force_takes_the_field_over() -> None:
    live = applied(None, deployment(3), "kubectl")

    merged = applied(live, deployment(5))

    assert merged["spec"]["replicas"] == 5
    assert merge.owner_of(merged, ("f:spec", "f:replicas")) == ("gitward",)


def test_a_conflict_inside_a_list_names_the_item() -> None:
    live = applied(None, deployment(3, image="nginx:1"), "kubectl")

    _, conflicts = merge.apply(live, deployment(3, image="nginx:2"), "gitward", NOW, SHAPE, force=False)

    assert [one.field for one in conflicts] == ['.spec.template.spec.containers[name="web"].image']


def test_status_nulls_and_server_fields_of_a_manifest_are_not_stated() -> None:
    exported = deployment(2)
    exported["metadata"] |= {"uid": "old", "resourceVersion": "7", "creationTimestamp": None}
    exported["status"] = {"replicas": 2}
    exported["spec"]["template"]["metadata"]["creationTimestamp"] = None

    live = applied(None, exported)

    assert "status" not in live
    assert live["metadata"].keys() == {"name", "namespace", "labels", "managedFields"}
    assert live["spec"]["template"]["metadata"].keys() == {"labels"}


def test_an_item_named_twice_is_refused() -> None:
    twice = deployment(1, env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}])

    with pytest.raises(Invalid) as refused:
        applied(None, twice)

    assert str(refused.value) == (
        'Deployment.apps shop/web: .spec.template.spec.containers[name="web"].env: '
        'duplicate entries for key [name="A"]'
    )


def test_a_sealed_value_stays_sealed_when_it_is_stated_in_clear() -> None:
    live, _ = merge.apply(None, config_map(key=Sensitive("a")), "gitward", NOW, schema.root(CONFIG_MAP))

    merged, _ = merge.apply(live, config_map(key="b"), "gitward", NOW, schema.root(CONFIG_MAP))

    assert merged["data"] == {"key": Sensitive("b")}


def test_managed_fields_of_a_secret_hold_no_value() -> None:
    stated = cast(KubeObject, {**config_map(token=Sensitive("s3cr3t")), "kind": "Secret", "type": "Opaque"})

    live, _ = merge.apply(None, stated, "gitward", NOW, schema.root(SECRET))

    assert "s3cr3t" not in str(live)


def test_a_plain_write_owns_what_it_changed() -> None:
    old = merge.own_update(None, config_map(a="1", b="2"), "kubectl", NOW, schema.root(CONFIG_MAP))

    new = merge.own_update(
        old,
        cast(Any, {**old, "data": {"a": "1", "b": "3"}}),
        "curl",
        NOW,
        schema.root(CONFIG_MAP),
    )

    assert merge.owner_of(new, ("f:data", "f:a")) == ("kubectl",)
    assert merge.owner_of(new, ("f:data", "f:b")) == ("curl",)


def test_a_plain_write_that_removes_a_field_takes_it_from_all_owners() -> None:
    old = merge.own_update(None, config_map(a="1", b="2"), "kubectl", NOW, schema.root(CONFIG_MAP))

    new = merge.own_update(old, cast(Any, {**old, "data": {"a": "1"}}), "curl", NOW, schema.root(CONFIG_MAP))

    assert merge.owner_of(new, ("f:data", "f:b")) == ()


def test_a_plain_write_does_not_take_from_git_and_is_told_once_it_is_put_back() -> None:
    live = applied(None, deployment(3))
    new = merge.own_update(live, {**live, "spec": {**live["spec"], "replicas": 9}}, "curl", NOW, SHAPE)
    assert merge.owner_of(new, ("f:spec", "f:replicas")) == ("gitward", "curl")

    back, overridden = merge.apply(new, deployment(3), "gitward", NOW, SHAPE)

    assert merge.owner_of(back, ("f:spec", "f:replicas")) == ("gitward",)
    assert overridden == (merge.FieldConflict("curl", "Update", "apps/v1", ".spec.replicas"),)


def test_whoever_removes_a_field_of_git_is_told_too() -> None:
    live = applied(None, config_map(a="1", b="2"))
    shape = schema.root(CONFIG_MAP)
    new = merge.own_update(live, cast(Any, {**live, "data": {"a": "1"}}), "curl", NOW, shape)

    back, overridden = merge.apply(new, config_map(a="1", b="2"), "gitward", NOW, shape)

    assert overridden == (merge.FieldConflict("curl", "Update", "v1", ".data.b"),)
    assert merge.owner_of(back, ("f:data", "f:b")) == ("gitward",)


@pytest.mark.parametrize("reset", [[], [{}]])
def test_empty_managed_fields_forget_all_owners(reset: list[Any]) -> None:
    old = merge.own_update(None, config_map(a="1"), "kubectl", NOW, schema.root(CONFIG_MAP))
    emptied = cast(Any, {**old, "metadata": {**old["metadata"], "managedFields": reset}})

    new = merge.own_update(old, emptied, "curl", NOW, schema.root(CONFIG_MAP))

    assert "managedFields" not in new["metadata"]


def test_a_status_write_owns_only_status() -> None:
    live = applied(None, deployment(3))

    new = merge.own_update(live, {**live, "status": {"replicas": 3}}, "kubelet", NOW, SHAPE, "status")

    entry = new["metadata"]["managedFields"][-1]
    assert entry["subresource"] == "status"
    assert entry["fieldsV1"] == {"f:status": {"f:replicas": {}}}


MERGE_PATCHES = {
    "a value replaces": ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    "a value is added": ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    "null removes": ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    "a list is replaced": ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    "maps are merged deep": ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    "a map replaces a list": ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    "a scalar replaces all": ({"a": "foo"}, "bar", "bar"),
    "null inside a new map is dropped": ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
}


@pytest.mark.parametrize(("target", "patch", "result"), MERGE_PATCHES.values(), ids=MERGE_PATCHES.keys())
def test_merge_patch_as_in_rfc_7386(target: object, patch: object, result: object) -> None:
    assert patches.merge_patch(target, patch) == result


def test_a_field_set_survives_the_wire() -> None:
    paths = frozenset({("f:spec",), ("f:spec", "f:replicas"), ('k:{"name":"a"}', "f:image"), ('v:"x"',)})

    assert fields.decode(fields.encode(paths)) == paths
    assert fields.encode(paths)["f:spec"] == {".": {}, "f:replicas": {}}
