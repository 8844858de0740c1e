"""Writes with odd bodies: each is refused or done; none breaks the server, takes git's fields or shows a secret."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from gitops.kinds.apps import DEPLOYMENT
from gitops.kinds.core.config import CONFIG_MAP, SECRET
from gitops.kinds.objects import with_meta
from gitops.kinds.sensitive import Sensitive
from tests.attacks.test_api import ask, known_as
from tests.integration.api.builders import Json, a_deployment, a_secret
from tests.integration.api.served import Served, now, serving

CANARY: Final = "Y2FuYXJ5LWluLXRoZS1taW5l"
WEB: Final = "/apis/apps/v1/namespaces/default/deployments/web"
MERGE: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
OPERATIONS: Final = "application/json-patch+json"
APPLY: Final = "application/apply-patch+yaml"
CLAIM: Final = {
    "source": "shop",
    "app": "shop",
    "commit": "c" * 40,
    "file": "apps/web.yaml",
    "line": 7,
    "state": "declared",
}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as served:
        yield served


def write(api: Served, path: str, media: str, body: object, method: str = "PATCH") -> tuple[int, Json]:
    admin = known_as(api, api.authority.admin(now=now()))
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    code, found = ask(api, path, admin, method=method, data=data, headers={"Content-Type": media})
    return code, orjson.loads(found)


DEEP: Final = b'{"metadata":{"annotations":' + b'{"a":' * 200 + b"1" + b"}" * 200 + b"}}"
TEST: Final = b'{"op":"test","path":"/kind","value":"Deployment"}'  # Cheap, and true.
MILLION_KEYS: Final = b",".join(b'"%d":""' % number for number in range(1_000_000))
HOSTILE: Final[dict[str, tuple[str, bytes]]] = {
    "a deep merge patch": (MERGE, DEEP),
    "a merge patch that is a list": (MERGE, b"[]"),
    "a merge patch that removes everything": (MERGE, b'{"metadata":null}'),
    "a merge patch that renames": (MERGE, b'{"metadata":{"name":"other"}}'),
    "a merge patch that moves": (MERGE, b'{"metadata":{"namespace":"kube-system"}}'),
    "a merge patch that makes a number of a name": (MERGE, b'{"metadata":{"name":3}}'),
    "a merge patch of another kind": (MERGE, b'{"kind":"Pod"}'),
    "a merge patch with a huge number": (MERGE, b'{"spec":{"replicas":' + b"9" * 5_000 + b"}}"),
    "a merge patch with an old version": (MERGE, b'{"metadata":{"resourceVersion":"1"}}'),
    "a merge patch with another uid": (MERGE, b'{"metadata":{"uid":"other"}}'),
    "a strategic patch whose containers are a map": (
        STRATEGIC,
        b'{"spec":{"template":{"spec":{"containers":{}}}}}',
    ),
    "a strategic patch without keys": (STRATEGIC, b'{"spec":{"template":{"spec":{"containers":[{}]}}}}'),
    "a strategic patch with a map for a key": (
        STRATEGIC,
        b'{"spec":{"template":{"spec":{"containers":[{"name":{"a":1}}]}}}}',
    ),
    "an unknown directive": (STRATEGIC, b'{"spec":{"$patch":"explode"}}'),
    "a deletion of everything": (STRATEGIC, b'{"$patch":"delete"}'),
    "operations that are no list": (OPERATIONS, b"{}"),
    "operations on the root": (OPERATIONS, b'[{"op":"replace","path":"","value":1}]'),
    "copies of copies": (
        OPERATIONS,
        b"[" + b",".join([b'{"op":"copy","from":"/metadata","path":"/metadata/annotations"}'] * 60) + b"]",
    ),
    "one operation more than a patch may hold": (OPERATIONS, b"[" + b",".join([TEST] * 10_001) + b"]"),
    "a million operations": (OPERATIONS, b"[" + b",".join([TEST] * 1_000_000) + b"]"),
    "a million keys": (MERGE, b'{"metadata":{"annotations":{' + MILLION_KEYS + b"}}}"),
    "an apply without a manager": (APPLY, b"{}"),
    "no JSON": (MERGE, b"\xff\xfe"),
    "an unknown type": ("application/cbor", b"{}"),
}


@pytest.mark.parametrize(("media", "body"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_patch_changes_nothing_and_the_server_goes_on(api: Served, media: str, body: bytes) -> None:
    api.create(a_deployment("web"))
    before = api.found(DEPLOYMENT, "default", "web")

    code, status = write(api, WEB, media, body)

    assert code in (400, 404, 409, 413, 415, 422, 504), status
    assert api.found(DEPLOYMENT, "default", "web") == before
    assert ask(api, "/healthz", known_as(api, api.authority.admin(now=now()))) == (200, b"ok")


def test_an_applied_yaml_bomb_is_refused(api: Served) -> None:
    levels = "\n".join(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 9))
    bomb = f"a0: &a0 [x, x, x, x, x, x, x, x, x]\n{levels}\n".encode()

    code, status = write(api, f"{WEB}?fieldManager=a", APPLY, bomb)

    assert (code, status["reason"]) == (400, "BadRequest")


def test_a_name_cannot_end_a_warning_and_begin_a_header(api: Served) -> None:
    admin = known_as(api, api.authority.admin(now=now()))
    evil = {**a_deployment("web"), 'x"\r\nSet-Cookie: a=b\r\n\r\n<html>': 1}

    code, body = ask(
        api, "/apis/apps/v1/namespaces/default/deployments", admin, method="POST", data=orjson.dumps(evil),
        headers={"Content-Type": "application/json"},
    )  # fmt: skip

    assert code == 201
    assert orjson.loads(body)["metadata"]["name"] == "web"


TAKING: Final[dict[str, tuple[str, str, Any]]] = {
    "by emptying the owners": ("", MERGE, {"metadata": {"managedFields": []}, "spec": {"replicas": 9}}),
    "by forging the owners": ("", MERGE, {"metadata": {"managedFields": [{}]}, "spec": {"replicas": 9}}),
    "by the name of git's manager": ("?fieldManager=gitward", MERGE, {"spec": {"replicas": 9}}),
    "by applying as git": (
        "?fieldManager=gitward&force=true",
        APPLY,
        {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 9}},
    ),
    "by scaling": ("/scale", MERGE, {"spec": {"replicas": 9}}),
    "by applying a scale": ("/scale?fieldManager=hpa&force=true", APPLY, {"spec": {"replicas": 9}}),
    "by its removal": ("", MERGE, {"spec": {"replicas": None}}),
}


@pytest.mark.parametrize(("query", "media", "body"), TAKING.values(), ids=TAKING.keys())
def test_no_trick_changes_what_git_states(api: Served, query: str, media: str, body: Json) -> None:
    api.create(a_deployment("web", replicas=2))
    api.declare(a_deployment("web", replicas=2), CLAIM)

    code, status = write(api, WEB + query, media, body)

    assert code == 403
    assert "apps/web.yaml:7" in status["message"]
    assert api.found(DEPLOYMENT, "default", "web")["spec"]["replicas"] == 2


def test_what_git_states_is_not_deleted_by_way_of_a_finalizer(api: Served) -> None:
    api.create(with_meta(a_deployment("web"), finalizers=["a/b"]))
    api.declare(a_deployment("web"), CLAIM)

    code, _ = write(api, f"{WEB}?propagationPolicy=Orphan", "application/json", {}, method="DELETE")

    assert code == 403
    assert "deletionTimestamp" not in api.found(DEPLOYMENT, "default", "web")["metadata"]


def test_a_value_from_an_encrypted_file_is_told_nowhere_but_in_its_object(
    api: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    api.create(a_secret("key", CANARY))
    path = "/api/v1/namespaces/default/secrets/key"

    answers = [
        write(api, path, OPERATIONS, [{"op": "copy", "from": "/data/key", "path": "/metadata/annotations"}]),
        write(api, path, OPERATIONS, [{"op": "move", "from": "/data", "path": "/metadata/labels"}]),
        write(api, path, OPERATIONS, [{"op": "test", "path": "/data/key", "value": "guess"}]),
        write(api, path, MERGE, {"type": "other"}),
        write(api, path, MERGE, {"data": {"not a key": CANARY}}),
        write(api, path, MERGE, {"data": {"key": 3}}),
        write(api, f"{path}?fieldManager=a", APPLY, {"data": {"key": CANARY, "not a key": CANARY}}),
    ]

    for code, status in answers:
        assert code >= 400
        assert CANARY not in str(status)
    assert CANARY not in caplog.text
    assert api.found(SECRET, "default", "key")["data"]["key"].reveal() == CANARY.encode()


def test_a_sealed_config_map_stays_sealed_whatever_patches_it(api: Served) -> None:
    meta = {"name": "prices", "namespace": "default"}
    api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": Sensitive("4")}})
    path = "/api/v1/namespaces/default/configmaps/prices"

    for media, body in ((MERGE, {"data": {"b": "5"}}), (STRATEGIC, {"data": {"c": "6"}}),
                        (OPERATIONS, [{"op": "add", "path": "/data/d", "value": "7"}])):  # fmt: skip
        assert write(api, path, media, body)[0] == 200

    data = api.found(CONFIG_MAP, "default", "prices")["data"]
    assert {type(value).__name__ for value in data.values()} == {"Sensitive"}
    assert len(data) == 4
