"""Real kubectl, where it sends protobuf: `create` with what it should make, and deletions."""

import json

import pytest

from gitops.kinds.apps import DEPLOYMENT
from tests.integration.api.served import Served

CREATED = {
    "namespace": (("namespace", "shop"), "namespace/shop", {}),
    "configmap": (("configmap", "c", "--from-literal=a=1"), "configmap/c", {"data": {"a": "1"}}),
    "secret": (("secret", "generic", "s", "--from-literal=a=1"), "secret/s", {"data": {"a": "MQ=="}}),
    "service": (("service", "clusterip", "web", "--tcp=80:8080"), "service/web",
                {"spec": {"selector": {"app": "web"}, "type": "ClusterIP"}}),
    "serviceaccount": (("serviceaccount", "bot"), "serviceaccount/bot", {}),
    "job": (("job", "j", "--image=shop/j:1"), "job/j", {}),
    "role": (("role", "r", "--verb=get", "--resource=pods"), "role/r",
             {"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]}),
    "quota": (("quota", "q", "--hard=pods=2"), "quota/q", {"spec": {"hard": {"pods": "2"}}}),
    "poddisruptionbudget": (("pdb", "b", "--selector=app=web", "--min-available=50%"), "pdb/b",
                            {"spec": {"minAvailable": "50%"}}),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "name", "wanted"), CREATED.values(), ids=CREATED.keys())
def test_create_makes_what_it_says(
    api: Served, arguments: tuple[str, ...], name: str, wanted: dict[str, dict[str, object]]
) -> None:
    api.kubectl("create", *arguments)

    found = json.loads(api.kubectl("get", name, "-o", "json"))
    for field, value in wanted.items():
        stated = {one: found[field].get(one) for one in value} if isinstance(value, dict) else found[field]
        assert stated == value


def test_create_deployment_makes_a_whole_one(api: Served) -> None:
    api.kubectl("create", "deployment", "web", "--image=shop/web:1", "--replicas=3", "--port=8080")

    found = api.found(DEPLOYMENT, "default", "web")
    assert found is not None
    assert found["spec"]["replicas"] == 3
    assert found["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"] == 8080
    assert found["spec"]["strategy"]["type"] == "RollingUpdate"


def test_an_ingress_of_a_command_line_is_one(api: Served) -> None:
    api.kubectl("create", "ingress", "web", "--rule=shop.example/*=web:80")

    found = json.loads(api.kubectl("get", "ingress/web", "-o", "json"))
    path = found["spec"]["rules"][0]["http"]["paths"][0]
    assert path["backend"]["service"] == {"name": "web", "port": {"number": 80}}
    assert path["pathType"] == "Prefix"


def test_what_is_wrong_is_said_as_of_json(api: Served) -> None:
    told = api.kubectl("create", "configmap", "Not_A_Name", fails=True)

    assert "Not_A_Name" in told
    assert "lowercase RFC 1123" in told
