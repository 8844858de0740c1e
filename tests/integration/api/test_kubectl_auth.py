"""kubectl asks who it is and what it may do; the answers are what the API does."""

import json
from typing import Any

import pytest

from tests.integration.api.builders import a_node, a_pod
from tests.integration.api.served import Served


def asked(api: Served, kind: str, spec: dict[str, Any], *, node: str = "") -> Any:
    """The status of a review."""
    group = "authentication.k8s.io" if kind == "SelfSubjectReview" else "authorization.k8s.io"
    body = {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"creationTimestamp": None}, "spec": spec}
    if kind == "SelfSubjectReview":
        del body["spec"]
    file = api.folder / "review.json"
    file.write_text(json.dumps(body))
    return json.loads(api.kubectl("create", "-f", str(file), "-o", "json", "--validate=false", node=node))[
        "status"
    ]


def test_the_operator_may_do_everything_and_knows_who_he_is(api: Served) -> None:
    assert api.kubectl("auth", "can-i", "delete", "pods").strip() == "yes"
    assert api.kubectl("auth", "can-i", "*", "*").strip() == "yes"
    assert api.kubectl("auth", "can-i", "get", "/gitward/v1/why").strip() == "yes"
    assert "system:masters" in api.kubectl("auth", "whoami")
    rules = api.kubectl("auth", "can-i", "--list")
    assert rules.splitlines()[1].split() == ["*.*", "[]", "[]", "[*]"]


def test_a_node_is_told_what_it_may_and_why_not(api: Served) -> None:
    api.create(a_node("n1"), a_node("n2"))

    def can(*words: str) -> str:
        done = api.kubectl("auth", "can-i", *words, node="n1", fails=False, both=True)
        return done.split()[0]

    assert can("list", "services") == "yes"
    assert can("patch", "nodes/n1") == "yes"
    assert [
        asked(api, "SelfSubjectAccessReview", {"resourceAttributes": one}, node="n1")["allowed"]
        for one in (
            {"verb": "patch", "resource": "nodes", "name": "n1", "subresource": "status"},
            {"verb": "patch", "resource": "nodes", "name": "n2", "subresource": "status"},
            {"verb": "list", "resource": "pods", "fieldSelector": {"rawSelector": "spec.nodeName=n1"}},
            {"verb": "list", "resource": "pods"},
            {"verb": "get", "resource": "secrets", "namespace": "default", "name": "any"},
            {"verb": "create", "group": "authorization.k8s.io", "resource": "subjectaccessreviews"},
            {"verb": "get", "group": "nobodys.example.com", "resource": "things"},
        )
    ] == [True, False, True, False, False, False, False]


def test_the_operator_asks_for_others(api: Served) -> None:
    api.create(a_node("n1"))
    n1 = {"user": "system:node:n1", "groups": ["system:nodes"]}

    def told(kind: str, spec: dict[str, Any]) -> Any:
        return asked(api, kind, spec)

    secrets = {"verb": "get", "resource": "secrets", "namespace": "default", "name": "keys"}
    refused = told("SubjectAccessReview", {**n1, "resourceAttributes": secrets})
    assert refused == {
        "allowed": False,
        "reason": 'secrets "keys" is forbidden: User "system:node:n1" cannot get resource "secrets" in API group "" '
        'in the namespace "default"',
    }
    mounts = a_pod("p", node="n1")
    mounts["spec"]["volumes"] = [{"name": "k", "secret": {"secretName": "keys"}}]
    api.create(mounts)
    assert told("SubjectAccessReview", {**n1, "resourceAttributes": secrets}) == {"allowed": True}
    nobody = {"user": "eve", "resourceAttributes": {"verb": "get", "resource": "pods"}}
    assert told("SubjectAccessReview", nobody)["allowed"] is False
    path = {"user": "eve", "nonResourceAttributes": {"verb": "get", "path": "/apis/apps"}}
    assert told("SubjectAccessReview", path) == {"allowed": True}


def test_a_review_of_both_a_resource_and_a_path_is_refused(api: Served) -> None:
    spec = {
        "resourceAttributes": {"verb": "get", "resource": "pods"},
        "nonResourceAttributes": {"verb": "get"},
    }
    file = api.folder / "both.json"
    head = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "metadata": {}}
    file.write_text(json.dumps({**head, "spec": spec}))

    told = api.kubectl("create", "-f", str(file), "--validate=false", fails=True)

    assert "exactly one of nonResourceAttributes or resourceAttributes must be specified" in told


@pytest.mark.parametrize("verb", ["get", "list", "watch"])
def test_the_rules_of_a_node_are_those_that_hold_for_any_name(api: Served, verb: str) -> None:
    api.create(a_node("n1"))

    status = asked(api, "SelfSubjectRulesReview", {"namespace": "default"}, node="n1")

    assert status["incomplete"] is True
    rules = {(one["apiGroups"][0], one["resources"][0]): one["verbs"] for one in status["resourceRules"]}
    assert verb in rules["", "services"]
    assert ("", "secrets") not in rules
    assert rules["authentication.k8s.io", "selfsubjectreviews"] == ["create"]
