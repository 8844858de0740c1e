"""Junk at the API's door: bytes that are no TLS, no HTTP, no path, no JSON. Always an answer below 500, or none at all.

Seeded, and the seed is in the message of a failure. That nothing was said on stderr with a traceback is asked too.
"""

import asyncio
import random
import ssl
from collections.abc import Iterator
from typing import Any, Final

import aiohttp
import orjson
import pytest
from yarl import URL

from gitops.client import Client
from gitops.kinds import registry
from gitops.kinds.core.pod import POD
from tests.integration.api.builders import a_node, pod_status
from tests.integration.master.whole import Site, Whole, config_map, deployment

JSON: Final = "application/json"
MERGE: Final = "application/merge-patch+json"
SEEDS: Final = range(6)
REQUESTS: Final = 120
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "PROPFIND")
ODD: Final = ("..", "%2e%2e", "%2f", "%00", "%0d%0a", "%ff", "%25", "a" * 300, "*", "~", ";x=1", "%c3%28", "-", "A B",
              "system:node:n1", "'", '"', "<script>", "{{", "${x}", "%5c", "a%2Fb", "status",
       "namespaces", "log")  # fmt: skip
QUERIES: Final = ("limit", "continue", "resourceVersion", "resourceVersionMatch", "fieldSelector", "labelSelector",
                  "timeoutSeconds", "watch", "dryRun", "fieldManager", "fieldValidation", "propagationPolicy",
                  "gracePeriodSeconds", "pretty", "includeObject", "tailLines", "container", "force")  # fmt: skip
VALUES: Final = ("", "-1", "1e9", "99999999999999999999", "a=b", "a in (", "!", ",", "=", "metadata.name=", "All",
                 "NotOlderThan",                  "\x00", "é" * 50, "0", "x" * 400)  # fmt: skip
TYPES: Final = ("application/json", "application/merge-patch+json", "application/strategic-merge-patch+json",
                "application/json-patch+json", "application/apply-patch+yaml", "text/plain", "", "a/b;;;")  # fmt: skip


def a_path(some: random.Random) -> str:
    """Most are of a kind that is served, half of them with something odd in one place."""
    kind = some.choice(registry.ALL)
    parts = ["apis" if kind.group else "api", *kind.api_version.split("/")]
    parts += ["namespaces", "default"] if kind.namespaced and some.random() < 0.8 else []
    parts.append(kind.plural)
    parts += [some.choice(("a", "web", "default", "n1"))] if some.random() < 0.7 else []
    if some.random() < 0.3:
        parts.append(some.choice(("status", "log", "exec", "binding", "scale", "sync")))
    if some.random() < 0.4:
        parts[some.randrange(len(parts))] = some.choice(ODD).replace(" ", "%20")
    query = "&".join(
        f"{some.choice(QUERIES)}={quoted(some.choice(VALUES))}" for _ in range(some.randrange(3))
    )
    return f"/{'/'.join(parts)}{'?' if query else ''}{query}".replace("watch=", "watching=")


def quoted(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


def a_body(some: random.Random) -> bytes:
    if some.random() < 0.2:
        return some.randbytes(some.randrange(200))
    return orjson.dumps(a_value(some, 0))


def a_value(some: random.Random, depth: int) -> Any:
    leaves: tuple[Any, ...] = (None, True, 0, -1, 2**53, 1e300, "", "x", "\u0000", "../..", [], {})
    if depth > 3 or some.random() < 0.2:
        return some.choice(leaves)
    names = ("metadata", "name", "namespace", "labels", "annotations", "spec", "status", "kind", "apiVersion", "data",
             "finalizers", "ownerReferences", "managedFields", "containers", "op", "path", "value", "uid")  # fmt: skip
    if some.random() < 0.2:
        return [a_value(some, depth + 1) for _ in range(some.randrange(4))]
    return {some.choice(names): a_value(some, depth + 1) for _ in range(some.randrange(5))}


@pytest.mark.parametrize("seed", SEEDS)
def test_no_request_is_an_internal_error(site: Site, capsys: pytest.CaptureFixture[str], seed: int) -> None:
    some = random.Random(seed)

    async def story(whole: Whole) -> None:
        await whole.goes_live({"a.yaml": config_map("a"), "web.yaml": deployment("web")})
        async with whole.node("n1") as node:
            for _ in range(REQUESTS):
                client = some.choice((whole.admin, node))
                method, path, body = some.choice(METHODS), a_path(some), a_body(some)
                code, answer = await ask(client, method, path, body, some.choice(TYPES))
                assert code < 500, f"seed {seed}: {method} {path} {body!r}: {code} {answer!r}"
            assert (await ask(node, "GET", "/healthz", b"", ""))[0] == 200
        assert whole.found(registry.find("", "ConfigMap") or registry.ALL[0], "default", "a")["data"] == {
            "a": "one"
        }

    site.run(story)
    assert "Traceback" not in capsys.readouterr().err, f"seed {seed}"


async def ask(client: Client, method: str, path: str, body: bytes, kind: str) -> tuple[int, bytes]:
    url = URL(client.credentials.url + path, encoded=True)
    headers = {"Content-Type": kind} if kind else {}
    data = None if method in ("GET", "HEAD") else body
    limit = aiohttp.ClientTimeout(total=10)
    async with client._session().request(method, url, data=data, headers=headers, timeout=limit) as answer:
        return answer.status, await answer.read()


WRONG: Final[tuple[Any, ...]] = (None, True, -1, 1e300, "\u0000", [], {}, [None], {"": None}, "9" * 400)


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a JSON value, the inner ones first."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, child in pairs:
        yield from places(child, (*path, step))
    if path:
        yield path


def with_at(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    if not path:
        return new
    step, rest = path[0], path[1:]
    if isinstance(value, dict):
        return {name: with_at(child, rest, new) if name == step else child for name, child in value.items()}
    return [with_at(child, rest, new) if at == step else child for at, child in enumerate(value)]


def test_something_wrong_in_any_place_of_a_body_is_refused_or_taken_and_breaks_nobody(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a node may write, by each road, with nulls, wrong types and wrong sizes in each place in turn."""

    async def story(whole: Whole) -> None:
        await whole.goes_live({"web.yaml": deployment("web")})
        async with whole.node("n1") as node:
            await whole.until(lambda: whole.on_node("n1") == 1)
            (pod,) = whole.names(POD, "default")
            event = {"metadata": {"generateName": "e-"}, "reason": "A", "message": "b", "type": "Normal", "count": 1,
                     "involvedObject": {"kind": "Pod", "name": pod, "namespace": "default"},
                     "source": {"component": "agent"}, "firstTimestamp": "2026-01-01T00:00:00Z"}  # fmt: skip
            for method, path, body, kind in (
                ("PUT", "/api/v1/nodes/n1", a_node("n1"), JSON),
                ("PATCH", "/api/v1/nodes/n1/status", {"status": a_node("n1")["status"]}, MERGE),
                ("PUT", f"/api/v1/namespaces/default/pods/{pod}/status", status_body(pod), JSON),
                (
                    "PATCH",
                    f"/api/v1/namespaces/default/pods/{pod}/status",
                    {"status": pod_status(ready=True)},
                    MERGE,
                ),
                ("POST", "/api/v1/namespaces/default/events", event, JSON),
            ):
                for place in places(body):
                    for value in WRONG:
                        sent_body = orjson.dumps(with_at(body, place, value))
                        code, answer = await ask(node, method, path, sent_body, kind)
                        assert code < 500, f"{method} {path} {place} {value!r}: {code} {answer!r}"
            await whole.settled()

    site.run(story)
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "a controller broke" not in said


def status_body(pod: str) -> Any:
    return {"metadata": {"name": pod, "namespace": "default"}, "status": pod_status(ready=True)}


NOISE: Final = {
    "plain HTTP": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", False),
    "zeros": (bytes(4_096), False),
    "a cut handshake": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", False),
    "no HTTP": (bytes(range(256)) * 8, True),
    "a version that is none": (b"GET / HTTP/9.9\r\n\r\n", True),
    "headers without end": (b"GET / HTTP/1.1\r\n" + b"X-A: " + b"a" * 1_000_000 + b"\r\n", True),
    "many headers": (b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 50_000 + b"\r\n", True),
    "two lengths": (b"POST /api/v1/nodes HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", True),
    "a length and chunks": (
        b"POST /api/v1/nodes HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        True,
    ),
    "a chunk of nonsense": (
        b"POST /api/v1/nodes HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        True,
    ),
    "a socket for strangers": (
        b"GET /gitward/v1/nodes/n1/connect HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        True,
    ),
}  # fmt: skip


def test_noise_is_cut_off_and_the_server_goes_on(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.repository.commit({"a.yaml": config_map("a")})

    async def story(whole: Whole) -> None:
        trusting = ssl.create_default_context(cadata=whole.master.authority.cert.decode())
        for name, (noise, inside_tls) in NOISE.items():
            answer = await sent(whole.master.port, noise, trusting if inside_tls else None)
            first = answer.partition(b"\r\n")[0]
            assert not first.startswith(b"HTTP/") or first.split()[1] in (b"400", b"401", b"413", b"431"), (
                name
            )
        assert (await whole.admin.request("GET", "/version"))["major"] == "1"

    site.run(story)
    assert "Traceback" not in capsys.readouterr().err


async def sent(port: int, noise: bytes, tls: ssl.SSLContext | None) -> bytes:
    """What comes back, until the other side hangs up or we do."""
    name = "localhost" if tls else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name)
    try:
        writer.write(noise)
        writer.write_eof() if writer.can_write_eof() else None
        return await asyncio.wait_for(reader.read(65_536), 5)
    except (TimeoutError, ConnectionError, ssl.SSLError):
        return b""
    finally:
        writer.transport.abort()
