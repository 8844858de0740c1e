"""G6 and G7: unauthenticated and hostile webhooks. No body of any forge's form brings the server down or costs it much,
and nothing but the right secret, for the right source, ever has an effect."""

import json
import random
import threading
from http.client import HTTPConnection
from time import monotonic
from typing import Any, Final

import pytest

from tests.unit.webhooks.deliveries import CASES, IMAGES, NOW, SECRET, Case, encoded, url_of
from webhooks import Source, make_app, make_server
from webhooks.app import BODY_BYTES_MAX, PROVIDERS
from webhooks.providers.base import Delivery

BODIES: Final = 20_000  # Each form gets its share; the seed is printed.
WILD: Final[tuple[Any, ...]] = (None, True, -1, 1e308, "", "\0", "../../etc", "x" * 5000, [], {}, [[]], [None],
                                {"": {}}, {"name": None}, "refs/heads/", ["a"] * 100, "\ud800")  # fmt: skip
MANY_BODIES: Final = 100_000
META: Final = "".join(chr(code) for code in range(33, 127)) + "(a+)+$|.*|^|\\"


def mutated(payload: Any, chance: random.Random) -> Any:
    """The same form with some of its parts replaced, left out or nested deeper."""
    if isinstance(payload, dict):
        kept = {key: mutated(value, chance) for key, value in payload.items() if chance.random() > 0.05}
        return kept if chance.random() > 0.05 else chance.choice(WILD)
    if isinstance(payload, list):
        return [mutated(one, chance) for one in payload] * chance.choice((1, 1, 1, 3))
    return payload if chance.random() > 0.2 else chance.choice(WILD)


def test_bodies_of_every_forges_form_never_raise(caplog: pytest.LogCaptureFixture) -> None:
    """Signed, so that they are parsed at all. An error of ours would be raised here: the client passes it on."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    triggered: list[str] = []
    cases = [(name, case) for name, case in {**CASES, **IMAGES}.items()]
    followed = [Source(f"s{n}", url_of(name), "main") for n, (name, _) in enumerate(cases)]
    app = make_app(triggered.append, lambda: followed, (SECRET,), clock=lambda: float(NOW))
    app.testing = True
    client = app.test_client()

    for number in range(BODIES // len(cases)):
        for _, case in cases:
            body = json.dumps(mutated(case.payload, chance)).encode()
            headers = {**case.event, **case.sign(SECRET, body), "X-Request-Id": str(number)}
            assert client.post(f"/hooks/{case.path}", data=body, headers=headers).status_code == 202

    assert "Traceback" not in caplog.text
    assert set(triggered) <= {source.name for source in followed}


def test_a_hundred_thousand_bodies_are_read_or_not_understood() -> None:
    """Without Flask around it, so that many fit: what is raised is what the application takes as not understood."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    cases = list({**CASES, **IMAGES}.items())
    payloads = {name: [mutated(case.payload, chance) for _ in range(200)] for name, case in cases}
    understood = 0
    for number in range(MANY_BODIES):
        name, case = cases[number % len(cases)]
        provider, _, token = case.path.partition("/")
        body = json.dumps(chance.choice(payloads[name])).encode()
        at = chance.randrange(len(body) + 1)
        body = body[:at] + bytes(chance.randrange(256) for _ in range(3)) + body[at + chance.randrange(4) :]
        headers = {**case.event, **case.sign(SECRET, body)}
        delivery = Delivery(headers, body, NOW, token)
        assert PROVIDERS[provider].signed(delivery, SECRET) in (True, False)
        try:
            hint = PROVIDERS[provider].read(delivery)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError):
            continue
        understood += 1
        assert all(isinstance(url, str) for url in hint.urls)

    assert understood > 0


@pytest.mark.parametrize(
    "body", [b"[" * 200_000, b'{"a":' * 100_000, b"9" * 1_000_000, b"payload=" + b"&" * 100_000]
)
def test_a_deep_or_endless_body_is_an_answer(body: bytes) -> None:
    for path in ("github", "gitlab", "gitea", "bitbucket", "azure", "generic"):
        case = next(one for one in CASES.values() if one.path == path)
        app = make_app(lambda name: None, lambda: [Source("s", "https://x.example.com/a", "")], (SECRET,),
                       clock=lambda: float(NOW))  # fmt: skip
        app.testing = True
        began = monotonic()
        for kind in ("application/json", "application/x-www-form-urlencoded"):
            headers = {**case.event, **case.sign(SECRET, body), "Content-Type": kind}
            assert app.test_client().post(f"/hooks/{path}", data=body, headers=headers).status_code == 202
        assert monotonic() - began < 5


def test_metacharacters_in_urls_and_branches_match_nothing_and_cost_nothing() -> None:
    triggered: list[str] = []
    app = make_app(triggered.append, lambda: [Source("s", "https://x.example.com/a", "main")], (SECRET,))
    chance = random.Random(7)
    began = monotonic()

    for _ in range(2_000):
        text = "".join(chance.choice(META) for _ in range(chance.randrange(60)))
        body = encoded({"repository": f"https://x.example.com/{text}{'(' * 50}", "ref": f"refs/heads/{text}"})
        app.test_client().post("/hooks/generic", data=body, headers=CASES["generic"].sign(SECRET, body))

    assert triggered == []
    assert monotonic() - began < 20


def test_a_flood_of_forged_hooks_is_refused_and_a_genuine_one_still_heard() -> None:
    """Over a real socket: as `gitward up` serves it."""
    triggered = threading.Event()
    app = make_app(lambda name: triggered.set(), lambda: [Source("s", url_of("github"), "main")], (SECRET,))
    server = make_server(app, "127.0.0.1", 0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    port = int(server.effective_port)
    try:
        codes = {_post(port, CASES["github"], secret=b"guess") for _ in range(200)}
        assert codes == {401}
        assert not triggered.is_set()
        huge = b"POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n"
        assert _raw(port, huge).startswith(b"HTTP/1.1 413")  # Before any of the body is sent.
        assert _post(port, CASES["github"], secret=SECRET) == 202
        assert triggered.wait(5)
    finally:
        server.close()
        thread.join(5)


def test_a_body_over_the_limit_is_not_read() -> None:
    app = make_app(lambda name: None, lambda: (), (SECRET,))
    body = b"x" * (BODY_BYTES_MAX + 1)

    for path in ("github", "gitlab", "dockerhub/x", "azure"):
        assert app.test_client().post(f"/hooks/{path}", data=body).status_code in (401, 413)


def _post(port: int, case: Case, *, secret: bytes) -> int:
    body = encoded(case.payload)
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", f"/hooks/{case.path}", body, {**case.event, **case.sign(secret, body)})
        return connection.getresponse().status
    finally:
        connection.close()


def _raw(port: int, request: bytes) -> bytes:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.connect()
    try:
        connection.sock.sendall(request)
        return connection.sock.recv(200)
    finally:
        connection.close()
