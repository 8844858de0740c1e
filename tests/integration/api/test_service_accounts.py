"""Service accounts at the API: tokens made, believed, reviewed and refused. With the real kubectl where it can."""

import json
import ssl
import urllib.error
import urllib.request
from base64 import urlsafe_b64decode
from typing import Any

import pytest

from gitops.client import Client
from gitops.kinds.core.pod import POD
from gitops.kinds.core.service_account import SERVICE_ACCOUNT
from gitops.kinds.errors import Conflict, Forbidden, GitwardError, Invalid, NotFound
from gitops.kinds.objects import uid
from tests.integration.api.builders import a_node, a_pod
from tests.integration.api.served import Served

REVIEWS = "/apis/authentication.k8s.io/v1"


def an_account(name: str = "robot") -> Any:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "default"}}


def robot_pod(name: str = "web", node: str = "n1", audience: str = "") -> Any:
    pod: Any = a_pod(name, node=node)
    source = {"path": "token", **({"audience": audience} if audience else {})}
    volume = {"name": "own", "projected": {"sources": [{"serviceAccountToken": source}]}}
    return {**pod, "spec": {**pod["spec"], "serviceAccountName": "robot", "volumes": [volume]}}


@pytest.fixture
def api(api: Served) -> Served:
    api.create(an_account(), a_node("n1"), a_node("n2"), robot_pod())
    return api


def post(api: Served, path: str, body: object, node: str = "") -> Any:
    async def asked() -> Any:
        async with Client.from_kubeconfig(api.config_of(node)) as client:
            return await client.request("POST", path, body=body)

    return api.run(asked())


def token_of(api: Served, node: str = "", account: str = "robot", **spec: Any) -> str:
    path = f"/api/v1/namespaces/default/serviceaccounts/{account}/token"
    return str(post(api, path, {"spec": spec}, node)["status"]["token"])


def bound_to(api: Served, name: str = "web", **other: str) -> dict[str, str]:
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "name": name,
        "uid": uid(api.found(POD, "default", name)),
        **other,
    }


def ask(api: Served, token: str, path: str, body: object = None) -> tuple[int, Any]:
    """As a pod would: with a token, without a certificate."""
    trust = ssl.create_default_context(cadata=api.authority.cert.decode())
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(
        api.url + path, data, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, context=trust, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def claims_of(token: str) -> Any:
    text = token.split(".")[1]
    return json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def test_kubectl_makes_a_token_that_says_whose_it_is(api: Served) -> None:
    token = api.kubectl("create", "token", "robot", "--duration=20m", "--bound-object-kind=Pod",
                        "--bound-object-name=web").strip()  # fmt: skip

    claims = claims_of(token)
    assert claims["exp"] - claims["iat"] == 1_200
    assert claims["aud"] == ["https://kubernetes.default.svc.cluster.local"]
    assert claims["sub"] == "system:serviceaccount:default:robot"
    about = claims["kubernetes.io"]
    assert about["namespace"] == "default"
    assert about["pod"] == {"name": "web", "uid": uid(api.found(POD, "default", "web"))}
    assert about["node"]["name"] == "n1"
    assert about["serviceaccount"]["uid"] == uid(api.found(SERVICE_ACCOUNT, "default", "robot"))
    who = ask(api, token, f"{REVIEWS}/selfsubjectreviews", {"kind": "SelfSubjectReview"})
    assert who[1]["status"]["userInfo"] == {
        "username": "system:serviceaccount:default:robot",
        "groups": ["system:authenticated", "system:serviceaccounts", "system:serviceaccounts:default"],
    }


def test_a_token_shows_discovery_and_nothing_else(api: Served) -> None:
    token = token_of(api)

    for path in ("/api", "/apis", "/api/v1", "/version", "/openapi/v3", "/openid/v1/jwks"):
        assert ask(api, token, path)[0] == 200, path
    for path in (
        *("/api/v1/pods", "/api/v1/namespaces/default/secrets", "/api/v1/nodes/n1/proxy/metrics"),
        *("/metrics", "/gitward/v1/get", "/gitward/v1/history", "/apis/metrics.k8s.io/v1beta1/pods"),
    ):
        assert ask(api, token, path)[0] == 403, path
    assert ask(api, token, "/api/v1/namespaces/default/pods", {})[0] == 403
    assert ask(api, token, f"{REVIEWS}/tokenreviews", {"spec": {"token": token}})[0] == 403
    assert ask(api, token, "/api/v1/namespaces/default/serviceaccounts/robot/token", {})[0] == 403
    assert ask(api, token, "/gitward/v1/nodes/n1/certificate", {})[0] == 403


def test_a_token_ends_with_what_it_is_bound_to(api: Served) -> None:
    bound, free = token_of(api, boundObjectRef=bound_to(api)), token_of(api)
    assert ask(api, bound, "/api")[0] == 200

    api.remove(POD, "default", "web")
    assert ask(api, bound, "/api")[0] == 401
    api.create(robot_pod())  # Another pod of that name.
    assert ask(api, bound, "/api")[0] == 401
    assert ask(api, free, "/api")[0] == 200

    api.remove(SERVICE_ACCOUNT, "default", "robot")
    api.create(an_account())
    assert ask(api, free, "/api")[0] == 401


def test_a_token_for_others_is_none_for_us_and_reviewed_for_them(api: Served) -> None:
    token = token_of(api, audiences=["vault"])

    assert ask(api, token, "/api")[0] == 401
    assert ask(api, "", "/api")[0] == 401
    assert ask(api, "not.a.token", "/healthz")[0] == 401
    found = post(api, f"{REVIEWS}/tokenreviews", {"spec": {"token": token, "audiences": ["vault", "x"]}})
    assert found["status"]["authenticated"] is True
    assert found["status"]["audiences"] == ["vault"]
    assert found["status"]["user"]["username"] == "system:serviceaccount:default:robot"
    assert found["status"]["user"]["uid"] == uid(api.found(SERVICE_ACCOUNT, "default", "robot"))
    assert token not in json.dumps(found)
    other = post(api, f"{REVIEWS}/tokenreviews", {"spec": {"token": token}})
    assert "authenticated" not in other["status"]
    assert other["status"]["error"] == "the token is for another audience"


def test_a_node_gets_tokens_for_its_own_pods_and_their_audiences_alone(api: Served) -> None:
    api.create(robot_pod("far", node="n2"), robot_pod("vaulted", audience="vault"))

    assert (
        claims_of(token_of(api, "n1", boundObjectRef=bound_to(api)))["kubernetes.io"]["pod"]["name"] == "web"
    )
    assert token_of(api, "n1", boundObjectRef=bound_to(api, "vaulted"), audiences=["vault"])
    for why, spec in (
        ("not bound to a pod", {}),
        ("scheduled on a different node", {"boundObjectRef": bound_to(api, "far")}),
        ("audience 'vault' not found", {"boundObjectRef": bound_to(api), "audiences": ["vault"]}),
        ("not bound to a pod", {"boundObjectRef": {"kind": "Node", "name": "n1"}}),
    ):
        with pytest.raises(Forbidden, match=why):
            token_of(api, "n1", **spec)
    with pytest.raises(Forbidden):
        token_of(api, "n1", "default", boundObjectRef=bound_to(api))
    with pytest.raises(Forbidden):
        post(api, "/api/v1/namespaces/default/serviceaccounts", an_account("mine"), "n1")


def test_what_a_request_may_not_ask(api: Served) -> None:
    cases: tuple[tuple[type[GitwardError], str, dict[str, Any]], ...] = (
        (Invalid, "may not specify a duration less than 10 minutes", {"expirationSeconds": 599}),
        (Invalid, "2.32 seconds", {"expirationSeconds": (1 << 32) + 1}),
        (NotFound, 'pods "absent" not found', {"boundObjectRef": {"kind": "Pod", "name": "absent"}}),
        (Conflict, "does not match the UID in record", {"boundObjectRef": bound_to(api, uid="another")}),
        (GitwardError, "cannot bind token", {"boundObjectRef": {"kind": "ConfigMap", "name": "a"}}),
        (GitwardError, "wanted texts", {"audiences": [1]}),
    )
    for error, why, spec in cases:
        with pytest.raises(error, match=why):
            token_of(api, **spec)
    with pytest.raises(NotFound):
        token_of(api, account="absent")


def test_others_find_our_keys(api: Served) -> None:
    token = token_of(api)

    told = ask(api, token, "/.well-known/openid-configuration")[1]
    keys = ask(api, token, "/openid/v1/jwks")[1]["keys"]

    assert told["issuer"] == claims_of(token)["iss"]
    assert told["jwks_uri"] == told["issuer"] + "/openid/v1/jwks"
    assert [(key["kty"], key["crv"], key["alg"], key["use"]) for key in keys] == [
        ("EC", "P-256", "ES256", "sig")
    ]
    assert "d" not in keys[0]


def test_a_pod_of_an_account_that_is_not_there_is_refused(api: Served) -> None:
    pod = robot_pod("late")
    pod["spec"]["serviceAccountName"] = "absent"

    with pytest.raises(Forbidden, match='service account default/absent: serviceaccount "absent" not found'):
        post(api, "/api/v1/namespaces/default/pods", pod)


def test_whoami(api: Served) -> None:
    assert "gitward-admin" in api.kubectl("auth", "whoami")
