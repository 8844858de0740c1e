"""The official schemas: what is refused and in which words, what is not acted on, and how lists merge."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from gitops.kinds import registry, schema
from gitops.kinds.apps import DEPLOYMENT
from gitops.kinds.core.config import SECRET, seal_values
from gitops.kinds.core.pod import POD
from gitops.kinds.core.service import SERVICE
from gitops.kinds.gitward import GIT_SOURCE
from tests.tools import build_schemas
from tests.unit.kinds.objects import a_container, a_deployment, a_pod, a_secret, a_service

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a mistyped field": (
        {"replcas": 2},
        'spec.replcas: unknown field "spec.replcas", did you mean "replicas"?',
    ),
    "a wrong case": (
        {"Replicas": 2},
        'spec.Replicas: unknown field "spec.Replicas", did you mean "replicas"?',
    ),
    "a field like no other": ({"qqq": 2}, 'spec.qqq: unknown field "spec.qqq"'),
    "text for a number": ({"replicas": "three"}, 'spec.replicas: found text ("three"), wanted an integer'),
    "a quoted number": (
        {"replicas": "3"},
        'spec.replicas: found text ("3"), wanted an integer: remove the quotes',
    ),
    "a list for a map": ({"strategy": []}, "spec.strategy: found a list, wanted a map"),
    "what is missing": ({"template": {"spec": {}}}, "spec.template.spec.containers: Required value"),
}


@pytest.mark.parametrize(("spec", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_field_is_told_in_words_that_help(spec: dict[str, Any], message: str) -> None:
    problems = schema.violations(DEPLOYMENT, a_deployment(**spec))

    assert [f"{problem.field}: {problem.message}" for problem in problems] == [message]


def test_a_label_that_yaml_reads_as_true_or_as_a_number_is_to_be_quoted() -> None:
    pod = a_pod(meta={"labels": {"on": True, "version": 1.1}})

    assert [tuple(problem) for problem in schema.violations(POD, pod)] == [
        ("metadata.labels.on", "found true or false (true), wanted text: quote it"),
        ("metadata.labels.version", "found a number (1.1), wanted text: quote it"),
    ]


def test_paths_name_the_place_in_lists_and_keys_with_dots() -> None:
    pod = a_pod(
        containers=[a_container(), a_container(ports=[{"containerPort": "80"}])], nodeSelector={"a.b/c": 1}
    )

    assert {problem.field for problem in schema.violations(POD, pod)} == {
        "spec.containers[1].ports[0].containerPort",
        "spec.nodeSelector[a.b/c]",
    }


def test_a_null_field_is_an_absent_one() -> None:
    assert schema.violations(POD, a_pod(nodeName=None, meta={"creationTimestamp": None})) == []
    assert [problem.field for problem in schema.violations(POD, a_pod(containers=None))] == [
        "spec.containers"
    ]
    assert schema.without_nulls({"a": None, "b": [{"c": None}]}) == {"b": [{}]}


def test_sealed_values_count_as_text_and_no_value_of_a_secret_is_ever_shown() -> None:
    assert schema.violations(SECRET, seal_values(a_secret(data={"a": "aHVudGVyMg=="}))) == []

    problems = schema.violations(
        SECRET, a_secret(stringData={"pin": 271828, "ok": "hunter2"}, data=["hunter2"])
    )

    assert len(problems) == 2
    assert "271828" not in str(problems)
    assert "hunter2" not in str(problems)


def test_quantities_and_ports_may_be_numbers_or_texts() -> None:
    resources = {"limits": {"cpu": 1, "memory": "1Gi"}, "requests": {"cpu": 0.5}}
    probe = {"httpGet": {"port": "http"}}

    assert (
        schema.violations(POD, a_pod(containers=[a_container(resources=resources, livenessProbe=probe)]))
        == []
    )


def test_unknown_fields_can_be_told_from_other_violations() -> None:
    problems = schema.violations(DEPLOYMENT, a_deployment(replcas=1, replicas="x"))

    assert sorted(schema.is_unknown_field(problem) for problem in problems) == [False, True]


def test_what_is_in_the_schema_but_not_acted_on_is_named() -> None:
    pod = a_pod(
        resourceClaims=[{"name": "gpu"}],
        containers=[a_container(volumeDevices=[{"name": "a"}])],
        volumes=[{"name": "a", "persistentVolumeClaim": {"claimName": "b"}}],
        unheardOf=1,
    )

    assert schema.unsupported(POD, pod) == [
        "spec.containers[0].volumeDevices",
        "spec.resourceClaims",
    ]
    assert schema.unsupported(POD, a_pod(meta={"labels": {"a": "b"}, "finalizers": ["a/b"]})) == []


def test_a_value_that_is_not_acted_on_is_named_with_its_field() -> None:
    assert schema.unsupported(
        SERVICE,
        a_service(
            type="NodePort", ports=[{"port": 80, "nodePort": 30080}], trafficDistribution="PreferClose"
        ),
    ) == ["spec.trafficDistribution"]
    assert schema.warnings(
        POD,
        a_pod(
            serviceAccountName="shop",
            resourceClaims=[{"name": "gpu"}],
            priority=0,
            terminationGracePeriodSeconds=0,
        ),
    ) == ["spec.resourceClaims is not acted on yet"]


def test_what_defaulting_adds_is_not_reported() -> None:
    assert schema.unsupported(POD, POD.defaults(a_pod())) == []
    assert schema.unsupported(DEPLOYMENT, DEPLOYMENT.defaults(a_deployment())) == []
    assert schema.unsupported(SERVICE, SERVICE.defaults(a_service())) == []


def test_a_kind_without_a_shape_is_named_as_a_whole() -> None:
    job = registry.find("batch", "Job")
    assert job is not None

    manifest: Any = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "spec": {}}
    assert schema.unsupported(job, manifest) == []
    assert schema.warnings(job, manifest) == ["Job is stored and shown, but not acted on yet"]


def test_list_types_are_those_that_server_side_apply_merges_by() -> None:
    assert schema.list_type(POD, ("spec", "containers")) == ("map", ("name",))
    assert schema.list_type(POD, ("spec", "containers", "ports")) == ("map", ("containerPort", "protocol"))
    assert schema.list_type(POD, ("spec", "containers", "args")) == ("atomic", ())
    assert schema.list_type(POD, ("spec", "tolerations")) == ("atomic", ())
    assert schema.list_type(POD, ("metadata", "finalizers")) == ("set", ())
    assert schema.list_type(POD, ("metadata", "ownerReferences")) == ("map", ("uid",))
    assert schema.list_type(SERVICE, ("spec", "ports")) == ("map", ("port", "protocol"))


def test_a_schema_is_walked_beside_an_object() -> None:
    root = schema.root(SERVICE)
    assert root is not None
    spec = root.child("spec")
    assert spec is not None
    ports, selector = spec.child("ports"), spec.child("selector")
    assert ports is not None
    assert selector is not None

    assert ports.key_defaults == {"protocol": "TCP"}
    assert ports.patch_merge_key == "port"
    assert selector.atomic
    assert not spec.atomic
    assert spec.child("nothing") is None
    assert (port := ports.items()) is not None
    assert "targetPort" in port.fields


def test_every_kind_has_a_schema_and_every_official_one_is_served_once() -> None:
    assert [kind.kind for kind in registry.ALL if schema.root(kind) is None] == []
    assert len({(kind.group, kind.plural) for kind in registry.ALL}) == len(registry.ALL) == 57


def test_our_own_kind_is_checked_as_well() -> None:
    source: Any = {
        "apiVersion": "gitward.io/v1alpha1",
        "kind": "GitSource",
        "metadata": {"name": "a"},
        "spec": {"url": "file:///a", "brnch": "main"},
    }

    assert [problem.message for problem in schema.violations(GIT_SOURCE, source)] == [
        'unknown field "spec.brnch", did you mean "branch"?'
    ]


def test_the_packed_file_is_what_the_official_definitions_give() -> None:
    packed = json.loads(gzip.decompress(Path(build_schemas.TARGET).read_bytes()))

    assert packed == build_schemas.build()


def test_a_valid_object_has_no_violations() -> None:
    assert schema.violations(SERVICE, a_service()) == []
    assert schema.violations(DEPLOYMENT, DEPLOYMENT.defaults(a_deployment())) == []
