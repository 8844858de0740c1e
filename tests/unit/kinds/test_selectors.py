"""Label and field selectors against Kubernetes' documented behaviour."""

import pytest

from gitops.kinds.core.pod import POD
from gitops.kinds.errors import BadRequest
from gitops.kinds.selectors import (
    LabelSelector,
    field_value,
    matches,
    matches_map,
    parse,
    parse_fields,
    to_text,
)
from tests.unit.kinds.objects import a_pod

LABELS = {"app": "web", "tier": "front", "weight": "10", "shop.example/team": "a"}

YES = [
    "",
    "app=web",
    "app==web",
    "app = web , tier=front",
    "app!=api",
    "gone!=api",
    "app in (api, web)",
    "app notin (api)",
    "gone notin (api)",
    "app",
    "!gone",
    "weight>9",
    "weight<11",
    "shop.example/team=a",
    "app in (web),tier notin (back,middle),!gone",
]
NO = [
    "app=api",
    "app!=web",
    "app in (api)",
    "app notin (web)",
    "gone",
    "!app",
    "weight>10",
    "app>1",
    "gone<5",
    "app=",
]
BAD = [
    "app in web",
    "app=web=x",
    "=web",
    "app in (web",
    "a b",
    "app=a b",
    "weight>x",
    "app,,tier",
    "-a=b",
    "app=-x",
]


@pytest.mark.parametrize("text", YES)
def test_a_selector_selects(text: str) -> None:
    assert parse(text).matches(LABELS)


@pytest.mark.parametrize("text", NO)
def test_a_selector_does_not_select(text: str) -> None:
    assert not parse(text).matches(LABELS)


@pytest.mark.parametrize("text", BAD)
def test_an_unreadable_selector_is_a_bad_request(text: str) -> None:
    with pytest.raises(BadRequest, match="unable to parse requirement"):
        parse(text)


def test_null_selects_nothing_and_an_empty_selector_everything() -> None:
    assert not matches(None, LABELS)
    assert matches({}, LABELS)
    assert not matches_map(None, LABELS)
    assert not matches_map({}, LABELS)


def test_all_parts_of_an_objects_selector_must_hold() -> None:
    selector: LabelSelector = {
        "matchLabels": {"app": "web"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["front", "back"]},
            {"key": "gone", "operator": "DoesNotExist"},
            {"key": "app", "operator": "Exists"},
            {"key": "team", "operator": "NotIn", "values": ["b"]},
        ],
    }

    assert matches(selector, LABELS)
    assert not matches(selector, {**LABELS, "gone": ""})
    assert to_text(selector) == "app=web,tier in (back,front),!gone,app,team notin (b)"
    assert parse(to_text(selector)).matches(LABELS)


def test_field_selectors_compare_texts() -> None:
    pod = a_pod(nodeName="n1", status={"phase": "Running"})

    assert parse_fields("spec.nodeName=n1,status.phase!=Succeeded,status.phase!=Failed").matches(pod)
    assert not parse_fields("metadata.name==other").matches(pod)
    assert parse_fields("spec.hostNetwork=false").matches(pod)
    assert parse_fields("status.podIP=").matches(pod)
    assert parse_fields("metadata.name=web").value_of("metadata.name") == "web"
    assert parse_fields(r"metadata.name=a\,b").all[0].value == "a,b"
    assert field_value(a_pod(hostNetwork=True), "spec.hostNetwork") == "true"


def test_an_unsupported_field_is_a_bad_request_in_kubernetes_words() -> None:
    with pytest.raises(BadRequest, match=r"^field label not supported: spec\.containers$"):
        parse_fields("spec.containers=x").check(POD.field_selectors)
    with pytest.raises(BadRequest, match="invalid selector"):
        parse_fields("spec.nodeName")
    parse_fields("metadata.namespace=a,spec.nodeName=b").check(POD.field_selectors)
