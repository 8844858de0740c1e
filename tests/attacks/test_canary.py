"""A secret value, driven through every error path there is: it comes out nowhere but where it was asked for by right.

Searched are all that is ever said (logs at the level debug and stderr), the answers of the API to those who have no
right to it and of other kinds to those who have, metrics, events, and every byte of the data directory.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from gitops.client import Client
from gitops.client.wire import reveal
from gitops.kinds import registry
from gitops.kinds.core.config import CONFIG_MAP, SECRET
from gitops.kinds.core.pod import POD
from gitops.kinds.errors import GitwardError
from gitops.kinds.sensitive import Sensitive
from gitops.sync.secrets.keys import keygen
from tests.integration.master.whole import Site, Whole, manifest

CANARY: Final = "canaryQ7x9Zr4LmW2tVbN8"
SECRETS: Final = (SECRET, CONFIG_MAP)
TABLE: Final = "application/json;as=Table;v=v1;g=meta.k8s.io"


def disguises(plain: str) -> Iterator[bytes]:
    """The value as it may lie somewhere: as it is, as hex, and in base64 at any offset, once and twice."""
    yield plain.encode()
    yield plain.encode().hex().encode()
    for once in in_base64(plain.encode()):
        yield once
        yield from in_base64(once)


def in_base64(content: bytes) -> Iterator[bytes]:
    """What of its base64 does not depend on its neighbours, for the three ways to lie between them."""
    for offset in range(3):
        begin, end = -(-offset * 8 // 6) + (1 if offset else 0), (offset + len(content)) * 8 // 6
        yield b64encode(b"\0" * offset + content + b"\0\0")[begin:end]


def assert_nowhere(where: str, content: bytes) -> None:
    found = [one for one in disguises(CANARY) if one in content]
    assert not found, f"{where} shows the canary as {found}"


def test_the_search_finds_a_canary_in_any_disguise() -> None:
    for offset in range(7):
        inside = b64encode(b"x" * offset + CANARY.encode() + b"yz")
        with pytest.raises(AssertionError):
            assert_nowhere("here", b"a: " + inside)
        with pytest.raises(AssertionError):
            assert_nowhere("here", b"a: " + b64encode(b"q" * offset + inside))


POD_WITH_SECRET: Final = """apiVersion: v1
kind: Pod
metadata: {name: reader, namespace: default}
spec:
  nodeName: n1
  containers:
    - name: main
      image: shop/web:1
      env:
        - {name: PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}
"""


def bad_files(site: Site) -> dict[str, str]:
    """Encrypted files that fail in all the ways that need their values to be looked at, and some that do not."""
    secret = manifest("Secret", "db", password=CANARY)
    sealed = site.encrypted(secret)
    own, site.recipient = site.recipient, keygen()[1]
    foreign = site.encrypted(secret)
    site.recipient = own
    as_data = secret.replace("stringData", "data")
    typed = f"type: kubernetes.io/{{}}\n{secret}"
    config = manifest("ConfigMap", "settings", token=CANARY)
    return {
        "another key": foreign,
        "a changed MAC": sealed.replace("mac: ENC[AES256_GCM,data:", "mac: ENC[AES256_GCM,data:AAAA"),
        "a changed value": sealed.replace(
            "password: ENC[AES256_GCM,data:", "password: ENC[AES256_GCM,data:AAAA"
        ),
        "another name": sealed.replace("name: db", "name: dc"),
        "another kind": sealed.replace("kind: Secret", "kind: Deployment"),
        "a type that is none": sealed.replace("type:str]", "type:int]"),
        "no base64": site.encrypted(as_data),
        "no JSON": site.encrypted(typed.format("dockerconfigjson").replace("password", ".dockerconfigjson")),
        "no certificate": site.encrypted(typed.format("tls")),
        "no user": site.encrypted(typed.format("ssh-auth")),
        "a key that is none": site.encrypted(secret.replace("  password:", "  'pass word':")),
        "an unknown field": site.encrypted(f"{secret}dta: {{}}\n"),
        "a wrong type beside it": site.encrypted(f"{secret}immutable: maybe\n"),
        "too large": site.encrypted(manifest("Secret", "db", password=CANARY * 60_000)),
        "a config map that is too large": site.encrypted(
            manifest("ConfigMap", "settings", token=CANARY * 60_000)
        ),
        "a config map with a bad key": site.encrypted(config.replace("  token:", "  'to ken':")),
        "a config map with an unknown field": site.encrypted(f"{config}binaryDat: {{}}\n"),
        "an object stated twice": f"{sealed}",
        "another apiVersion": sealed.replace("apiVersion: v1", "apiVersion: v2"),
        "cut in two": sealed[: len(sealed) // 2],
    }


def test_a_canary_comes_out_of_no_error_path(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []

    async def story(whole: Whole) -> None:
        good: dict[str, str | None] = {
            "db.yaml": site.encrypted(manifest("Secret", "db", password=CANARY)),
            "settings.yaml": site.encrypted(manifest("ConfigMap", "settings", token=CANARY)),
            "fixed.yaml": site.encrypted(f"{manifest('Secret', 'fixed', password=CANARY)}immutable: true\n"),
            "reader.yaml": POD_WITH_SECRET,
        }
        await whole.goes_live(good)
        async with whole.node("n1"), whole.node("n2") as stranger:
            for name, text in bad_files(site).items():
                path = {"an object stated twice": "again.yaml"}.get(name, "db.yaml")
                problems = await whole.is_refused({path: text})
                assert problems, name
                assert_nowhere(name, repr(whole.status()).encode())
                whole.repository.commit(
                    {"again.yaml": None} if path == "again.yaml" else {"db.yaml": good["db.yaml"]}
                )
            await immutable_and_drifting(whole, site)
            await misused(whole, stranger)
            await copied(whole)
            await every_answer(whole, stranger)
        said.append(capsys.readouterr().err)

    site.run(story)
    said.append(capsys.readouterr().err)
    assert "wanted a text" in said[0]
    assert_nowhere("stderr", "".join(said).encode())
    for file in files_below(site.data):
        assert_nowhere(str(file), file.read_bytes())


async def immutable_and_drifting(whole: Whole, site: Site) -> None:
    """Errors of apply, and objects that someone broke in the store itself."""
    changed = f"{manifest('Secret', 'fixed', password=f'{CANARY}2')}immutable: true\n"
    retyped = f"type: other\n{manifest('Secret', 'db', password=CANARY)}"
    whole.repository.commit({"fixed.yaml": site.encrypted(changed), "db.yaml": site.encrypted(retyped)})
    await whole.look()
    await whole.until(lambda: len(whole.status().get("unapplied") or []) == 2)
    db, fixed = whole.found(SECRET, "default", "db"), whole.found(SECRET, "default", "fixed")
    settings, pod = whole.found(CONFIG_MAP, "default", "settings"), whole.found(POD, "default", "reader")
    await whole.write({**db, "data": {"password": Sensitive(b64encode(CANARY.encode()) + b"drift")}})
    await whole.write({**fixed, "data": Sensitive(CANARY)})
    await whole.write({**settings, "data": [Sensitive(CANARY)]})
    await whole.write({**pod, "spec": {"containers": Sensitive(CANARY)}})
    await whole.settled()
    for obj in (fixed, settings, pod):
        await whole.write(obj)
    whole.repository.git("revert", "--no-edit", "HEAD")
    await whole.is_live(whole.repository.git("rev-parse", "HEAD"))


SECRETS_PATH: Final = "/api/v1/namespaces/default/secrets"
CONFIG_PATH: Final = "/api/v1/namespaces/default/configmaps/settings"
BODY: Final[dict[str, object]] = {
    "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "default"},
    "stringData": {"password": f"{CANARY}-other"},
}  # fmt: skip
MISUSES: Final[list[tuple[str, str, str, object]]] = [
    ("PUT", f"{SECRETS_PATH}/db", "json", BODY),
    ("PUT", f"{SECRETS_PATH}/db", "json", {**BODY, "data": {"password": 5, "other": CANARY}, "dta": CANARY}),
    ("POST", SECRETS_PATH, "json", BODY),
    ("POST", SECRETS_PATH, "json", {**BODY, "metadata": {"name": "new"}, "data": {"other": f"{CANARY}!"}}),
    ("PATCH", f"{SECRETS_PATH}/db", "merge-patch+json", {"data": {"password": CANARY + "!"}}),
    ("PATCH", f"{SECRETS_PATH}/db", "merge-patch+json", {"data": {"password": [CANARY]}}),
    ("PATCH", f"{SECRETS_PATH}/db", "strategic-merge-patch+json", {"stringData": {"password": f"{CANARY}x"}}),
    ("PATCH", f"{SECRETS_PATH}/db", "json-patch+json", [{"op": "test", "path": "/data/password", "value": "guess"}]),
    ("PATCH", f"{SECRETS_PATH}/db", "json-patch+json", [{"op": "add", "path": "/data/password/x", "value": CANARY}]),
    ("PATCH", f"{SECRETS_PATH}/db", "json-patch+json", [{"op": "copy", "from": "/data", "path": "/metadata/labels"}]),
    ("PATCH", f"{SECRETS_PATH}/db", "json-patch+json",
     [{"op": "copy", "from": "/data/password", "path": "/metadata/annotations"}]),
    ("PATCH", f"{SECRETS_PATH}/db?fieldManager=a", "apply-patch+yaml", BODY),
    ("DELETE", f"{SECRETS_PATH}/db", "json", {"kind": "DeleteOptions", "preconditions": {"uid": "other"}}),
    ("PATCH", CONFIG_PATH, "merge-patch+json", {"data": {"token": f"{CANARY}x"}}),
    ("PATCH", CONFIG_PATH, "merge-patch+json", {"data": {"token": {"a": CANARY}}}),
    ("PATCH", CONFIG_PATH, "json-patch+json", [{"op": "copy", "from": "/data/token", "path": "/metadata/labels"}]),
    ("PATCH", CONFIG_PATH, "json-patch+json", [{"op": "test", "path": "/data/token", "value": "guess"}]),
]  # fmt: skip


async def misused(whole: Whole, stranger: Client) -> None:
    """Writes of people and nodes that must fail, and what is said of them."""
    for client in (whole.admin, stranger):
        for method, path, kind, body in MISUSES:
            headers = {"Content-Type": f"application/{kind}"}
            url = client.credentials.url + path
            async with client._session().request(
                method, url, data=orjson.dumps(body), headers=headers
            ) as answer:
                said = await answer.read()
                assert answer.status >= 400, f"{method} {path} {body!r}: {said!r}"
                assert_nowhere(f"{method} {path} {body!r}", said)


async def copied(whole: Whole) -> None:
    """A person moves a value to where it would be seen: into a label, an annotation, another object. It stays sealed,
    or is refused."""
    for place in ("labels", "annotations"):
        patch = [{"op": "add", "path": f"/metadata/{place}", "value": {}},
                 {"op": "copy", "from": "/data/password", "path": f"/metadata/{place}/seen"}]  # fmt: skip
        url = f"{whole.admin.credentials.url}{SECRETS_PATH}/db"
        headers = {"Content-Type": "application/json-patch+json"}
        async with whole.admin._session().patch(url, data=orjson.dumps(patch), headers=headers) as answer:
            said = await answer.read()
            assert answer.status >= 400, said
            assert_nowhere(f"a copy into {place}", said)


async def every_answer(whole: Whole, stranger: Client) -> None:
    """What the API answers: to a node without a right to any of it, and to the operator but for the secrets' bodies."""
    for kind in registry.ALL:
        path = f"{'/apis' if kind.group else '/api'}/{kind.api_version}/{kind.plural}"
        for client, query in (
            (stranger, {}),
            (stranger, {"fieldSelector": "metadata.name=db"}),
            (whole.admin, {}),
        ):
            if client is stranger or kind not in SECRETS:
                assert_nowhere(path, await answer(client, path, query))
    for path in ("/metrics", "/readyz", "/openapi/v3", "/version"):
        async with whole.admin._asked("GET", path) as got:
            assert_nowhere(path, await got.read())
    for name in ("db", "fixed"):
        assert_nowhere(name, await answer(stranger, f"/api/v1/namespaces/default/secrets/{name}", {}))
    for kind in SECRETS:
        headers = {"Accept": TABLE}
        url = f"{whole.admin.credentials.url}/api/v1/{kind.plural}"
        async with whole.admin._session().get(url, headers=headers) as table:
            assert_nowhere(f"the table of {kind.plural}", await table.read())
    right = await whole.admin.get(SECRET, "default", "db")
    assert CANARY.encode() in b64decoded(right)


async def answer(client: Client, path: str, query: dict[str, str]) -> bytes:
    try:
        return orjson.dumps(await client.request("GET", path, params=query), default=reveal)
    except GitwardError as error:
        return str(error).encode()


def b64decoded(secret: Any) -> bytes:
    return b64decode(secret["data"]["password"].reveal())


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
