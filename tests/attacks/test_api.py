"""The API among strangers: who is nobody gets nothing, and odd input breaks nothing and shows nothing."""

import asyncio
import gzip
import logging
import ssl
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
import pytest
from yarl import URL

from gitops.api import load_or_make_authority
from gitops.api.certificates import Issued
from gitops.api.server import make_app
from gitops.client import Client, Credentials
from gitops.client.joining import CA_PATH, JOIN_PATH
from gitops.client.reverse import connect_path, of_bytes, serve_reverse
from gitops.client.streams import encode_piece
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD
from gitops.kinds.errors import Forbidden, GitwardError, Unavailable
from gitops.store.memory import MemoryStore
from tests.integration.api.builders import Json, a_node, a_pod, a_secret, but
from tests.integration.api.served import Counted, Served, now, serving

CANARY: Final = "Y2FuYXJ5LWluLXRoZS1taW5l"
TO_ANNOTATION: Final = b'[{"op":"copy","from":"/data/key","path":"/metadata/annotations","value":1}]'
TO_LABELS: Final = b'[{"op":"move","from":"/data","path":"/metadata/labels"}]'
OPEN: Final = ("/healthz", "/livez", "/readyz", "/version", "/version/")
JOINING: Final = {
    CA_PATH: 200,
    JOIN_PATH: 405,
}  # A machine that joins has no certificate yet; it posts there.


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as served:
        yield served


def ask(
    api: Served, path: str, tls: ssl.SSLContext, *, method: str = "GET", **more: Any
) -> tuple[int, bytes]:
    """Code and body of one request whose path is sent exactly as it stands."""

    async def request() -> tuple[int, bytes]:
        from_root = URL(api.url + path, encoded=True)
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, from_root, ssl=tls, **more) as answer,
        ):
            return answer.status, await answer.read()

    return api.run(request())


def anonymous(api: Served) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=api.authority.cert.decode())


def known_as(api: Served, issued: Issued) -> ssl.SSLContext:
    return Credentials(api.url, api.authority.cert, issued.cert, issued.key).tls()


def test_without_a_certificate_every_route_but_health_and_version_is_closed(api: Served) -> None:
    app = make_app(MemoryStore(now), clock=now, mint=Counted(), version="v1.35.0")
    routes = {resource.canonical for resource in app.router.resources()}

    for path in (*routes, "/", "/nonsense", "/api/v1/secrets", "/openapi/v2", "/metrics"):
        code, _ = ask(api, path.replace("{", "").replace("}", "").replace(":.+", ""), anonymous(api))
        assert code == (200 if path in OPEN else JOINING.get(path, 401)), path


def test_a_certificate_of_another_authority_or_one_that_is_over_does_not_pass_the_handshake(
    api: Served, tmp_path: Path
) -> None:
    foreign = load_or_make_authority(tmp_path / "foreign", now=now()).admin(now=now())
    over = api.authority.admin(now=now() - timedelta(days=400))

    for issued in (foreign, over):
        with pytest.raises((aiohttp.ClientError, ssl.SSLError, ConnectionError)):
            ask(api, "/api/v1/namespaces", known_as(api, issued))


def test_a_name_without_the_group_is_nobody_and_a_group_without_the_name_too(api: Served) -> None:
    api.create(a_pod("a", node="n1"))
    strangers = (
        api.authority.client("system:node:n1", (), now=now()),
        api.authority.client("n1", ("system:nodes",), now=now()),
        api.authority.client("gitward-admin", ("developers",), now=now()),
    )

    for issued in strangers:
        for path in ("/api/v1/namespaces", "/api/v1/namespaces/default/pods/a", "/api/v1/secrets"):
            code, body = ask(api, path, known_as(api, issued))
            assert (code, orjson.loads(body)["reason"]) == (403, "Forbidden")


def test_nobody_acts_as_someone_else(api: Served) -> None:
    admin = known_as(api, api.authority.admin(now=now()))

    code, _ = ask(api, "/api/v1/namespaces", admin, headers={"Impersonate-User": "system:node:n1"})

    assert code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/namespaces/default/secrets/..",
        "/api/v1/namespaces/default/pods/%2e%2e%2fsecrets",
        "/api/v1/namespaces/default%2fsecrets/pods",
        "/api/v1/namespaces/default/pods/..%2f..%2fkube-system%2fpods%2fa",
        "/api/v1/namespaces/default/pods/a%00b",
        "/api/v1/namespaces/%2e%2e/pods",
        "/api/v1/namespaces//secrets",
        "/apis/apps/v1/../../../api/v1/secrets",
        "/apis/declared.gitward.io/v1/declared",
        "/apis/declared.gitward.io/v1/namespaces/default/Secret/key",
    ],
)
def test_odd_names_never_lead_anywhere(api: Served, path: str) -> None:
    api.create(a_secret("key", CANARY))

    code, body = ask(api, path, known_as(api, api.authority.node("n1", now=now())))

    assert code in (400, 403, 404)
    assert CANARY.encode() not in body


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"metadata":' * 900 + b"{}" + b"}" * 900,
        b'{"metadata":{"name":"n1","labels":{"a":' + b"[" * 900 + b"]" * 900 + b"}}}",
        b'{"metadata":null}',
        b'{"apiVersion":"v1","kind":"Node","metadata":{"name":"n1"},"spec":[]}',
        b"\xff\xfe",
        b"1",
    ],
)
def test_a_hostile_body_is_refused_and_the_server_goes_on(api: Served, body: bytes) -> None:
    node = known_as(api, api.authority.node("n1", now=now()))

    code, _ = ask(
        api, "/api/v1/nodes", node, method="POST", data=body, headers={"Content-Type": "application/json"}
    )

    assert code in (400, 422)
    assert ask(api, "/healthz", node) == (200, b"ok")


DIGITS: Final = "9" * 5_000
POD_PATH: Final = "/api/v1/namespaces/default/pods/web"
ODD: Final[dict[str, tuple[str, str, object]]] = {
    "a limit": ("GET", f"/api/v1/pods?limit={DIGITS}", None),
    "a resource version": ("GET", f"/api/v1/pods?resourceVersion={DIGITS}", None),
    "a timeout": ("GET", f"/api/v1/pods?watch=1&timeoutSeconds={DIGITS}", None),
    "a revision": ("GET", f"/gitward/v1/get?resource=pods&at={DIGITS}", None),
    "a grace period": ("DELETE", f"{POD_PATH}?gracePeriodSeconds={DIGITS}", None),
    "the time of a log": ("GET", f"{POD_PATH}/log?sinceSeconds={10**17}", None),
    "an eviction's grace period": (
        "POST",
        f"{POD_PATH}/eviction",
        {"deleteOptions": {"gracePeriodSeconds": "x"}},
    ),
    "an eviction's options": ("POST", f"{POD_PATH}/eviction", {"deleteOptions": "x"}),
    "an eviction's metadata": ("POST", f"{POD_PATH}/eviction", {"metadata": ["x"]}),
    "an eviction's preconditions": (
        "POST",
        f"{POD_PATH}/eviction",
        {"deleteOptions": {"preconditions": "x"}},
    ),
    "an eviction's dry run": ("POST", f"{POD_PATH}/eviction", {"deleteOptions": {"dryRun": 1}}),
    "a dry run": ("DELETE", POD_PATH, {"dryRun": 1}),
}


@pytest.mark.parametrize(("method", "path", "body"), ODD.values(), ids=ODD.keys())
def test_numbers_and_options_that_are_none_are_no_internal_error(
    api: Served, method: str, path: str, body: object
) -> None:
    api.create(a_node("n1"), a_pod("web", node="n1", ready=True))
    admin = known_as(api, api.authority.admin(now=now()))

    code, answer = ask(api, path, admin, method=method, **({"json": body} if body is not None else {}))

    assert code in (400, 404, 422, 503), answer
    assert "deletionTimestamp" not in api.found(POD, "default", "web")["metadata"]


def test_a_body_that_is_too_long_is_refused_unpacked_too(api: Served) -> None:
    node = known_as(api, api.authority.node("n1", now=now()))
    plain = b'{"metadata":{"name":"' + b"a" * (4 << 20) + b'"}}'
    bomb = gzip.compress(b" " * (64 << 20))

    assert ask(api, "/api/v1/nodes", node, method="POST", data=plain)[0] == 413
    assert (
        ask(api, "/api/v1/nodes", node, method="POST", data=bomb, headers={"Content-Encoding": "gzip"})[0]
        == 413
    )


def test_no_error_log_or_table_shows_a_secret(api: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    pod = a_pod("a", node="n1")
    pod["spec"]["volumes"] = [{"name": "key", "secret": {"secretName": "key"}}]
    api.create(pod, a_secret("key", CANARY))
    admin = known_as(api, api.authority.admin(now=now()))
    node = known_as(api, api.authority.node("n2", now=now()))
    table = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    metadata = {"Accept": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}
    secrets = "/api/v1/namespaces/default/secrets"
    merge = {"Content-Type": "application/merge-patch+json"}
    operations = {"Content-Type": "application/json-patch+json"}

    answers = [
        ask(api, secrets, admin, headers=table),
        ask(api, f"{secrets}?watch=true&timeoutSeconds=1", admin, headers=table),
        ask(api, secrets, admin, headers=metadata),
        ask(api, f"{secrets}/key", node),
        ask(api, secrets, node),
        ask(api, f"{secrets}/key", admin, method="PATCH", data=b'{"data":{"key":3}}', headers=merge),
        ask(api, f"{secrets}/key", admin, method="PATCH", data=b'{"data":{"a b":"x"}}', headers=merge),
        ask(api, f"{secrets}/key", admin, method="PATCH", data=TO_ANNOTATION, headers=operations),
        ask(api, f"{secrets}/key", admin, method="PATCH", data=TO_LABELS, headers=operations),
        ask(api, f"{secrets}/key", admin, method="PUT", json={**a_secret("key", CANARY), "type": "other"}),
        ask(api, f"{secrets}/key", admin, method="DELETE"),
        ask(api, "/api/v1/namespaces/default/pods/a", admin),
        ask(api, "/metrics", admin),
    ]

    for code, body in answers:
        assert CANARY.encode() not in body, code
    assert CANARY not in caplog.text


def test_an_agent_connects_only_as_itself(api: Served) -> None:
    async def connect(node: str) -> None:
        async with (
            Client.from_kubeconfig(api.config_of("n1")) as client,
            client.websocket(connect_path(node)),
        ):
            pass

    api.run(connect("n1"))
    with pytest.raises(Forbidden):
        api.run(connect("n2"))


def test_an_agent_that_floods_a_stream_loses_it_and_holds_up_nobody(api: Served) -> None:
    """It may send a window of bytes that nobody took yet; this one sends without end."""

    async def flood() -> None:
        async with (
            Client.from_kubeconfig(api.config_of("n1")) as client,
            client.websocket(connect_path("n1")) as socket,
        ):
            stream = api.hub.ask("n1", "logs", {})
            first = asyncio.ensure_future(anext(stream))
            asked = orjson.loads((await socket.receive()).data)
            for _ in range(64):
                await socket.send_bytes(encode_piece(asked["id"], 0, b"x" * 32_768))
            await first
            await asyncio.sleep(0.1)
            with pytest.raises(Unavailable, match="more than it was allowed"):
                async for _ in stream:
                    pass
            await stream.aclose()

    api.run(flood())


def test_an_agent_that_talks_nonsense_is_cut_off_and_the_hub_goes_on(api: Served) -> None:
    async def nonsense(frame: str) -> None:
        async with (
            Client.from_kubeconfig(api.config_of("n1")) as client,
            client.websocket(connect_path("n1")) as socket,
        ):
            await socket.send_str(frame)
            await socket.send_bytes(b"")
            await asyncio.wait_for(socket.receive(), 5)

    for frame in ("{", "[]", '{"id":"x"}', '{"id":null,"end":true}'):
        api.run(nonsense(frame))
    assert api.hub.connected() == ()


def test_a_node_that_tells_lies_of_what_is_used_spoils_nobody_elses_figures(api: Served) -> None:
    """Symptom: one node's odd answer was an internal error for all, and a node could tell of the pods of others."""
    api.create(a_node("n1"), a_node("n2"), a_pod("mine", node="n1"), a_pod("theirs", node="n2"))
    pods = {name: api.found(POD, "default", name)["metadata"]["uid"] for name in ("mine", "theirs")}
    stats = {
        "cpu": {"time": "2026-01-01T00:00:00Z", "usageNanoCores": 1_000},
        "memory": {"workingSetBytes": 4_096},
    }
    told = [
        {"podRef": {"uid": uid}, "containers": [{"name": "app", **stats}], **stats} for uid in pods.values()
    ]
    honest = {"node": stats, "pods": told}

    async def used(answers: dict[str, object]) -> list[list[str]]:
        async with AsyncExitStack() as stack:
            for node, answer in answers.items():
                client = await stack.enter_async_context(Client.from_kubeconfig(api.config_of(node)))
                handlers = {"get": of_bytes(partial(answering, answer))}
                task = asyncio.create_task(serve_reverse(client, node, handlers))
                stack.callback(task.cancel)
            async with Client.from_kubeconfig(api.config_of()) as operator:
                while len(api.hub.connected()) < len(answers):
                    await asyncio.sleep(0.01)
                found = [
                    await operator.request("GET", f"/apis/metrics.k8s.io/v1beta1/{one}")
                    for one in ("nodes", "pods")
                ]
        return [[one["metadata"]["name"] for one in each["items"]] for each in found]

    bent = {"node": stats, "pods": [{"podRef": {"uid": "a"}}]}
    odd: list[object] = ["text", [], {"node": {}}, bent, {**honest, "pods": 1}]
    for one in odd:
        assert api.run(used({"n1": one, "n2": honest})) == [["n2"], ["theirs"]]


async def answering(answer: object, _: Any) -> AsyncGenerator[bytes, None]:
    yield orjson.dumps(answer)


def test_a_node_cannot_take_over_another_by_patching_its_own_name(api: Served) -> None:
    api.create(a_node("n1"), a_node("n2"))

    async def attempt() -> list[GitwardError]:
        caught: list[GitwardError] = []
        async with Client.from_kubeconfig(api.config_of("n1")) as client:
            for patch in ({"metadata": {"name": "n2"}}, {"metadata": {"namespace": "x"}}, {"kind": "Pod"}):
                try:
                    await client.patch(NODE, "", "n1", patch)
                except GitwardError as error:
                    caught.append(error)
        return caught

    assert len(api.run(attempt())) == 3
    assert api.found(NODE, "", "n2")["metadata"]["name"] == "n2"


def test_a_status_write_changes_neither_specification_nor_where_a_pod_runs(api: Served) -> None:
    api.create(a_pod("a", node="n1"))
    before: Json = api.found(POD, "default", "a")

    async def attempt() -> None:
        async with Client.from_kubeconfig(api.config_of("n1")) as client:
            pod: Json = await client.get(POD, "default", "a")
            await client.update_status(POD, but(pod, spec=but(pod["spec"], nodeName="n2", hostNetwork=True)))

    api.run(attempt())
    assert api.found(POD, "default", "a")["spec"] == before["spec"]
