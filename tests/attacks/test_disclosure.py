"""What a master shows and keeps of itself: no credential, no right past its end, no port beside the API."""

import asyncio
import re
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
import pytest
from yarl import URL

from gitops.api.certificates import LEAF_LIFE
from gitops.api.server import make_app
from gitops.client import Client, Credentials
from gitops.client.client import path_of
from gitops.client.credentials import load_kubeconfig
from gitops.kinds import registry
from gitops.kinds.core.config import CONFIG_MAP
from gitops.kinds.core.pod import POD
from gitops.kinds.errors import Forbidden, GitwardError, NotFound
from gitops.store.memory import MemoryStore
from tests.integration.api.builders import a_pod, a_secret
from tests.integration.api.served import Counted, Served, now, serving
from tests.integration.master.whole import Site, Whole, config_map

TABLE: Final = "application/json;as=Table;v=v1;g=meta.k8s.io"
SHORT_SECONDS: Final = 4.0
CLOSED_SECONDS_MAX: Final = SHORT_SECONDS + 5.0
MARKUP: Final = "<script>alert(1)</script>\x1b[31m"
_CREDENTIAL: Final = re.compile(
    r"password|passphrase|token|private|credential|(?<!public)key(?!s?$)", re.IGNORECASE
)


async def every_answer(whole: Whole) -> dict[str, bytes]:
    """What each route, and each kind as list and as table, answers the operator."""
    app = make_app(MemoryStore(now), clock=now, mint=Counted(), version="v1.35.0")
    fill = {
        "version": "v1",
        "group": "gitward.io",
        "rest": "pods",
        "path": "apis/gitward.io/v1alpha1",
        "node": "n1",
    }
    paths = {
        re.sub(r"{(\w+)(:[^}]*)?}", lambda one: fill.get(one[1], "x"), one.canonical)
        for one in app.router.resources()
    }
    paths |= {path_of(kind) for kind in registry.ALL}
    paths |= {
        f"/gitward/v1/{ask}?kind={kind}&name={name}&namespace=default"
        for ask in ("get", "why", "diff", "history")
        for kind, name in (("gitsources", "shop"), ("configmaps", "a"), ("nothing", "x"))
    }
    tls = load_kubeconfig(whole.data / "admin.kubeconfig").tls()
    answers = {}
    async with aiohttp.ClientSession() as session:
        for path in sorted(paths):
            for accept in ("application/json", TABLE):
                if "connect" in path:
                    continue
                url = URL(whole.master.url + path, encoded=True)
                async with session.get(url, ssl=tls, headers={"Accept": accept}) as answer:
                    answers[f"{path} {accept}"] = await answer.read()
    return answers


def test_no_answer_holds_a_credential_of_the_system(site: Site) -> None:
    """The operator has every right, and still no answer gives what the master itself logs in and signs with."""
    canary = "canaryToken7x9Zr4LmW2tVbN8"
    file = site.folder / "credentials"
    file.write_text(f"https://bot:{canary}@git.example.invalid\n")

    async def story(whole: Whole) -> None:
        await whole.goes_live({"a.yaml": config_map("a")})
        await whole.follow("theirs", "https://git.example.invalid/x.git")
        with pytest.raises(GitwardError):
            await whole.admin.request("POST", "/apis/gitward.io/v1alpha1/gitsources/none/sync")
        await whole.master.syncer.look("theirs", "test")
        answers = await every_answer(whole)
        assert len(answers) > 2 * len(registry.ALL)
        own = {
            "the token": canary.encode(),
            "a private key": b"PRIVATE KEY",
            "the age key": b"AGE-SECRET-KEY-",
            "the store's key": (whole.data / "keys" / "store.key").read_bytes().split()[-1],
        }
        for path, body in answers.items():
            found = [what for what, value in own.items() if value in body]
            assert found == [], f"{path} shows {found}"

    site.git_credentials_file = file
    site.run(story)


def test_no_field_of_our_own_kinds_could_hold_a_credential(site: Site) -> None:
    async def story(whole: Whole) -> None:
        schema = await whole.admin.request("GET", "/openapi/v3/apis/gitward.io/v1alpha1")
        names = set(fields_of(schema["components"]["schemas"]))
        assert {"secretRef", "allowedSigners", "url"} <= names
        assert sorted(name for name in names if _CREDENTIAL.search(name)) == []

    site.run(story)


def fields_of(value: Any) -> list[str]:
    if isinstance(value, list):
        return [name for one in value for name in fields_of(one)]
    if not isinstance(value, dict):
        return []
    own = [*value["properties"]] if isinstance(value.get("properties"), dict) else []
    return own + [name for one in value.values() for name in fields_of(one)]


REFERENCES: dict[str, tuple[str, str]] = {
    "an environment variable": (
        "containers: [{name: a, image: x, env: [{name: A, valueFrom: {secretKeyRef: {name: db, key: k, NS}}}]}]",
        "spec.containers[0].env[0].valueFrom.secretKeyRef",
    ),
    "a whole environment": (
        "containers: [{name: a, image: x, envFrom: [{secretRef: {name: db, NS}}]}]",
        "spec.containers[0].envFrom[0].secretRef",
    ),
    "a volume": (
        "containers: [{name: a, image: x}]\n  volumes: [{name: v, secret: {secretName: db, NS}}]",
        "spec.volumes[0].secret",
    ),
    "a volume of settings": (
        "containers: [{name: a, image: x}]\n  volumes: [{name: v, configMap: {name: db, NS}}]",
        "spec.volumes[0].configMap",
    ),
    "a projected volume": (
        "containers: [{name: a, image: x}]\n  volumes: [{name: v, projected: {sources: [{secret: {name: db, NS}}]}}]",
        "spec.volumes[0].projected.sources[0].secret",
    ),
    "a claim": (
        "containers: [{name: a, image: x}]\n  volumes: [{name: v, persistentVolumeClaim: {claimName: db, NS}}]",
        "spec.volumes[0].persistentVolumeClaim",
    ),
    "a pull secret": (
        "containers: [{name: a, image: x}]\n  imagePullSecrets: [{name: db, NS}]",
        "spec.imagePullSecrets[0]",
    ),
}


@pytest.mark.parametrize(("spec", "field"), REFERENCES.values(), ids=REFERENCES.keys())
def test_no_reference_of_a_pod_names_another_namespace(site: Site, spec: str, field: str) -> None:
    head = "apiVersion: v1\nkind: Pod\nmetadata: {name: thief, namespace: default}\nspec:\n  "

    async def story(whole: Whole) -> None:
        text = head + spec.replace("NS", "namespace: kube-system") + "\n"
        (problem,) = await whole.is_refused({"pod.yaml": text})
        assert f"{field}.namespace" in problem

    site.run(story)


def test_no_certificate_of_an_ingress_is_of_another_namespace(site: Site) -> None:
    text = """apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: thief, namespace: default}
spec:
  tls: [{hosts: [a.example.com], secretName: db, namespace: kube-system}]
  defaultBackend: {service: {name: web, port: {number: 80}}}
"""

    async def story(whole: Whole) -> None:
        (problem,) = await whole.is_refused({"ingress.yaml": text})
        assert "spec.tls[0].namespace" in problem

    site.run(story)


@pytest.fixture
def api(tmp_path: Path) -> Any:
    with serving(tmp_path) as served:
        yield served


@pytest.mark.parametrize("verb", ["get", "list", "watch", "patch", "delete"])
def test_a_pod_or_an_ingress_that_names_a_secret_gives_a_node_none_of_another_namespace(
    api: Served, verb: str
) -> None:
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
    secret = a_secret("db", "Y2FuYXJ5")
    api.create({**secret, "metadata": {**secret["metadata"], "namespace": "other"}})
    pod = a_pod("thief", node="n1")
    volumes = [{"name": "v", "secret": {"secretName": name}} for name in ("db",)]
    api.create({**pod, "spec": {**pod["spec"], "volumes": volumes}})
    api.create(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "thief", "namespace": "default"},
            "spec": {
                "tls": [{"hosts": ["a.example.com"], "secretName": "db"}],
                "defaultBackend": {"service": {"name": "web", "port": {"number": 80}}},
            },
        }
    )
    issued = api.authority.node("n1", now=now())

    async def ask() -> None:
        path = "/api/v1/namespaces/other/secrets"
        async with Client(Credentials(api.url, api.authority.cert, issued.cert, issued.key)) as node:
            match verb:
                case "get":
                    await node.request("GET", f"{path}/db")
                case "list":
                    await node.request("GET", path)
                case "watch":
                    await node.request("GET", path, params={"watch": "1", "timeoutSeconds": "1"})
                case "patch":
                    patch = {"metadata": {"labels": {"a": "b"}}}
                    media = "application/merge-patch+json"
                    await node.request("PATCH", f"{path}/db", body=patch, content_type=media)
                case _:
                    await node.request("DELETE", f"{path}/db")

    with pytest.raises((Forbidden, NotFound)):
        api.run(ask())


def test_a_certificate_that_ends_ends_its_open_watches_and_its_connection(api: Served) -> None:
    """The handshake saw it once, as good."""
    issued = api.authority.admin(now=now() - LEAF_LIFE + timedelta(seconds=SHORT_SECONDS))
    tls = Credentials(api.url, api.authority.cert, issued.cert, issued.key).tls()
    base = f"{api.url}/api/v1/namespaces/default/configmaps"

    async def story() -> tuple[float, int]:
        loop = asyncio.get_running_loop()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls, limit=2)) as session:
            async with session.get(base) as before:
                assert before.status == 200
                await before.read()
            began = loop.time()
            async with session.get(base, params={"watch": "1", "timeoutSeconds": "300"}) as watch:
                assert watch.status == 200
                async with asyncio.timeout(CLOSED_SECONDS_MAX):
                    try:
                        while await watch.content.readany():
                            pass
                    except aiohttp.ClientError:
                        pass
                lasted = loop.time() - began
            try:
                async with session.get(base) as after:
                    return lasted, after.status
            except aiohttp.ClientError:
                return lasted, 401  # A new connection: the handshake refuses it.

    lasted, status = api.run(story())

    assert lasted < CLOSED_SECONDS_MAX
    assert status == 401


def test_markup_and_escapes_of_a_manifest_are_data_wherever_they_come_out(api: Served) -> None:
    """No answer is a page: a browser that was led here has nothing to run."""
    pod = a_pod("a", node="n1")
    notes = {"example.com/link": f"javascript:{MARKUP}"}
    api.create({**pod, "metadata": {**pod["metadata"], "annotations": notes}})
    told = {"phase": "Pending", "reason": MARKUP, "message": MARKUP}
    api.update({**api.found(POD, "default", "a"), "status": told}, "status")
    tls = Credentials(api.url, api.authority.cert, *_admin(api)).tls()

    async def ask() -> list[tuple[str, str, bytes]]:
        paths = (
            "/api/v1/pods",
            "/api/v1/namespaces/default/pods/a",
            f"/{MARKUP}",
            "/api/v1/<b>",
            "/gitward/v1/get?kind=<b>",
        )
        found = []
        async with aiohttp.ClientSession() as session:
            for path in paths:
                for accept in ("application/json", TABLE, "text/html"):
                    async with session.get(f"{api.url}{path}", ssl=tls, headers={"Accept": accept}) as answer:
                        found.append((path, answer.headers["Content-Type"], await answer.read()))
        return found

    for path, media, body in api.run(ask()):
        assert media.startswith("application/json"), path
        assert orjson.loads(body) is not None
        assert b"\x1b" not in body, path
    shown = api.kubectl("get", "pods", "a") + api.kubectl("describe", "pod", "a")
    assert "\x1b" not in shown


def _admin(api: Served) -> tuple[bytes, Any]:
    issued = api.authority.admin(now=now())
    return issued.cert, issued.key


def test_a_master_listens_on_the_api_alone_and_keeps_its_files_to_itself(site: Site) -> None:
    """No port of a store or a cache that a pod could reach; parser and renderers speak by pipes that have no name."""
    before = listeners()

    async def story(whole: Whole) -> None:
        await whole.goes_live({"a.yaml": config_map("a")})
        assert whole.found(CONFIG_MAP, "default", "a")
        assert listeners() - before == {whole.master.port}
        for file in whole.data.rglob("*"):
            mode = stat.S_IMODE(file.lstat().st_mode)
            if file.is_file() and not file.is_relative_to(whole.data / "sources") and file.name != "age.key":
                assert mode & 0o077 == 0 or file.suffix == ".crt", (file, oct(mode))
        assert stat.S_IMODE(whole.data.stat().st_mode) == 0o700

    site.run(story)


def listeners() -> set[int]:
    """The TCP ports that this process listens on."""
    own = {str(one.readlink()) for one in Path("/proc/self/fd").iterdir() if one.is_symlink()}
    ports = set()
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in own:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports
