"""How machines become nodes: tokens, the CA's hash, whose name it is, and the certificate's renewal."""

import asyncio
import ssl
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from agent.renewal import keep_certificate, renew_at
from gitops.api import tokens
from gitops.client import Client, Credentials, load_kubeconfig
from gitops.client.joining import (
    SERVER_NAME,
    Joined,
    JoinToken,
    ca_hash,
    fetch_ca,
    join,
    new_key,
    request_of,
)
from gitops.kinds.core.config import SECRET
from gitops.kinds.core.node import NODE
from gitops.kinds.errors import BadRequest, Conflict, Forbidden, GitwardError, Unauthorized
from gitops.kinds.objects import annotations_of, with_meta
from gitops.kinds.sensitive import Sensitive
from tests.integration.api.served import Served

KEY = new_key()
HEX = "0123456789abcdef0123456789abcdef01234567"


def a_token(api: Served, token_id: str = "tokenaaa", *, ttl_seconds: int = 3600, uses: int = 1, name: str = "",
            secret: str = HEX) -> JoinToken:  # fmt: skip
    """Made as `gitward token create` does, by the API."""
    token = JoinToken(ca_hash(api.authority.cert), token_id, Sensitive(secret.encode()))
    made = tokens.token_object(token, ttl_seconds=ttl_seconds, uses=uses, name=name)

    async def create() -> None:
        async with Client.from_kubeconfig(api.config_of()) as client:
            await client.create(SECRET, made)

    api.run(create())
    return token


def joins(api: Served, token: JoinToken, name: str = "n1", key: Sensitive = KEY) -> Joined:
    return api.run(join(api.url, api.authority.cert, token, name, key))


def identity(api: Served, joined: Joined, key: Sensitive = KEY) -> Credentials:
    return Credentials(api.url, api.authority.cert, joined.cert, key, server_name=SERVER_NAME)


def ask(api: Served, credentials: Credentials, work: Callable[[Client], Awaitable[object]]) -> object:
    async def asked() -> object:
        async with Client(credentials) as client:
            return await work(client)

    return api.run(asked())


def own_node(client: Client) -> Awaitable[object]:
    return client.get(NODE, "", "n1")


def test_a_machine_joins_and_its_certificate_is_its_nodes(api: Served) -> None:
    joined = joins(api, a_token(api))

    assert (joined.pod_cidr, joined.service_cidr) == ("10.77.0.0/16", "10.78.0.0/16")
    assert api.found(NODE, "", "n1") is not None
    assert ask(api, identity(api, joined), own_node)
    with pytest.raises(Forbidden, match='User "system:node:n1" cannot get resource "secrets"'):
        ask(
            api,
            identity(api, joined),
            lambda client: client.get(SECRET, "kube-system", "join-token-tokenaaa"),
        )


def test_the_master_keeps_a_tokens_hash_alone(api: Served) -> None:
    token = a_token(api)

    kept = api.kubectl("get", "secret", "-n", "kube-system", "join-token-tokenaaa", "-o", "yaml")

    assert HEX not in kept
    assert token.text not in kept
    assert HEX not in repr(token)


def test_a_ca_that_is_not_the_tokens_is_refused_before_the_token_is_shown(api: Served) -> None:
    with pytest.raises(Unauthorized, match=r"shows a CA that is not the token's.*nothing was sent"):
        api.run(fetch_ca(api.url, "0" * 64))

    assert api.run(fetch_ca(api.url, ca_hash(api.authority.cert))) == api.authority.cert


REFUSED: Mapping[str, tuple[Callable[[Served], JoinToken], str]] = {
    "another secret": (lambda api: a_token(api)._replace(secret=Sensitive(b"f" * 40)), "not known"),
    "another id": (lambda api: a_token(api)._replace(id="zzzzzzzz"), "not known"),
    "expired": (lambda api: a_token(api, ttl_seconds=0), "has expired at"),
    "for another node": (lambda api: a_token(api, name="n2"), "is for node n2, not for n1"),
    "no uses": (lambda api: a_token(api, uses=0), "used up"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_a_token_that_is_refused_makes_no_node(
    api: Served, case: tuple[Callable[[Served], JoinToken], str]
) -> None:
    token = case[0](api)

    with pytest.raises(Unauthorized, match=case[1]):
        joins(api, token)

    assert api.found(NODE, "", "n1") is None


def test_a_stolen_token_that_was_used_lets_nobody_in(api: Served) -> None:
    token = a_token(api)
    joins(api, token)

    for name in ("n1", "n2"):
        with pytest.raises(Unauthorized, match="used up"):
            joins(api, token, name, new_key())


def test_a_machine_whose_answer_was_lost_asks_again_with_the_same_key(api: Served) -> None:
    token = a_token(api)
    joins(api, token)

    again = joins(api, token)

    assert ask(api, identity(api, again), own_node)


def test_a_revoked_token_is_not_known(api: Served) -> None:
    token = a_token(api)
    api.kubectl("delete", "secret", "-n", "kube-system", "join-token-tokenaaa")

    with pytest.raises(Unauthorized, match="revoked"):
        joins(api, token)


def test_another_machine_of_the_name_is_refused_until_the_node_is_deleted(api: Served) -> None:
    first = joins(api, a_token(api))
    second = a_token(api, "tokenbbb")
    other = new_key()

    with pytest.raises(Conflict, match=r"another machine is node n1: delete that node first"):
        joins(api, second, "n1", other)
    api.kubectl("delete", "node", "n1")
    replaced = joins(api, second, "n1", other)

    assert ask(api, identity(api, replaced, other), own_node)
    with pytest.raises(Unauthorized, match="another machine is node n1"):
        ask(api, identity(api, first), own_node)


def test_the_certificate_of_a_deleted_node_ends_with_it(api: Served) -> None:
    joined = joins(api, a_token(api))
    api.kubectl("delete", "node", "n1")

    with pytest.raises(Unauthorized, match="node n1 was deleted: join again"):
        ask(api, identity(api, joined), own_node)
    with pytest.raises(Unauthorized, match="node n1 was deleted"):
        ask(api, identity(api, joined), lambda client: client.create(NODE, {  # type: ignore[misc] # A node.
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "spec": {}}))  # fmt: skip


async def how_it_ends(client: Client, name: str, opened: asyncio.Event) -> str:
    """How a watch of nodes and the way back of a node end. `opened`: both are there."""
    found = await client.list(NODE)

    async def watch() -> str:
        try:
            async for _ in client.watch(NODE, resource_version=found.resource_version):
                opened.set()
        except GitwardError as error:
            return type(error).__name__
        return "ended"

    async with (
        client.websocket(f"/gitward/v1/nodes/{name}/connect") as way_back,
        asyncio.TaskGroup() as group,
    ):
        watching = group.create_task(watch())
        await client.patch(NODE, "", name, {"metadata": {"annotations": {"seen": "yes"}}})
        async with asyncio.timeout(20):
            told = await way_back.receive()
            return f"watch: {await watching}, way back: {told.type.name}"


def test_what_a_deleted_node_has_open_ends_at_once(api: Served) -> None:
    joined, other = (
        joins(api, a_token(api)),
        joins(api, a_token(api, "tokenbbb"), "n2", other_key := new_key()),
    )

    async def scenario() -> tuple[str, bool]:
        opened, also = asyncio.Event(), asyncio.Event()
        async with (
            Client(identity(api, joined)) as client,
            Client(identity(api, other, other_key)) as neighbour,
            Client.from_kubeconfig(api.config_of()) as admin,
        ):
            ending = asyncio.ensure_future(how_it_ends(client, "n1", opened))
            staying = asyncio.ensure_future(how_it_ends(neighbour, "n2", also))
            await opened.wait()
            await also.wait()
            await admin.delete(NODE, "", "n1")
            told = await ending
            stays = not staying.done()
            staying.cancel()
            await asyncio.wait((staying,))
            return told, stays

    assert api.run(scenario()) == ("watch: Unavailable, way back: CLOSED", True)


def test_a_node_that_was_only_written_down_may_be_joined_and_keeps_its_labels(api: Served) -> None:
    api.create(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "n1", "labels": {"disk": "ssd"}},
            "spec": {},
        }
    )

    joins(api, a_token(api))

    assert api.found(NODE, "", "n1")["metadata"]["labels"] == {"disk": "ssd"}


def test_the_masters_own_node_of_that_name_is_not_taken_over(api: Served) -> None:
    texts = ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion",
             "kubeletVersion", "kubeProxyVersion", "operatingSystem", "architecture")  # fmt: skip
    info = {"nodeInfo": dict.fromkeys(texts, "x")}
    api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "spec": {}, "status": info})

    with pytest.raises(Conflict, match="another machine is node n1"):
        joins(api, a_token(api))


def test_a_node_cannot_give_its_name_to_another_machine(api: Served) -> None:
    joined = joins(api, a_token(api))
    node = api.found(NODE, "", "n1")
    stolen = with_meta(node, annotations={**annotations_of(node), "gitward.io/machine": "another"})

    with pytest.raises(Forbidden, match="not allowed to choose the machine that bears its name"):
        ask(api, identity(api, joined), lambda client: client.update(NODE, stolen))


def test_a_request_that_is_no_request_is_told_without_the_token(api: Served) -> None:
    token = a_token(api)

    async def ask_badly() -> None:
        async with Client.from_kubeconfig(api.config_of()) as client:
            await client.request(
                "POST",
                "/gitward/v1/join",
                body={"token": token.text, "name": "../n1", "request": "x"},
            )

    with pytest.raises(BadRequest, match="not as wanted in the request: name") as told:
        api.run(ask_badly())
    assert HEX not in str(told.value)


def test_a_request_signed_by_another_key_is_refused(api: Served) -> None:
    lines = request_of(KEY, "n1").decode().splitlines()
    lines[-2] = ("A" if lines[-2][0] != "A" else "B") + lines[-2][1:]
    token = a_token(api)

    async def ask_badly() -> None:
        async with Client.from_kubeconfig(api.config_of()) as client:
            await client.request(
                "POST",
                "/gitward/v1/join",
                body={"token": token.text, "name": "n1", "request": "\n".join(lines)},
            )

    with pytest.raises(BadRequest, match="certificate request"):
        api.run(ask_badly())


def test_a_certificate_is_renewed_with_a_new_key_while_a_watch_goes_on(api: Served) -> None:
    credentials = identity(api, joins(api, a_token(api)))
    saved: list[Credentials] = []
    clock = [datetime.now(UTC)]

    def save(renewed: Credentials) -> None:
        saved.append(renewed)
        clock[0] = datetime.now(UTC)

    async def sleep(seconds: float) -> None:
        if saved:
            raise GitwardError("enough")
        clock[0] += timedelta(seconds=seconds)

    async def work() -> object:
        async with Client(credentials) as client:
            found = await client.list(NODE)
            events = client.watch(NODE, resource_version=found.resource_version)
            waiting = asyncio.ensure_future(anext(events))
            with pytest.raises(GitwardError, match="enough"):
                await keep_certificate(client, "n1", save, lambda: clock[0], sleep)
            assert client.credentials is saved[0]
            await client.patch(NODE, "", "n1", {"metadata": {"annotations": {"renewed": "yes"}}})
            event = await waiting
            await events.aclose()
            return event.object

    seen = api.run(work())

    assert annotations_of(seen)["renewed"] == "yes"  # type: ignore[arg-type] # A node.
    assert saved[0].key != credentials.key
    assert ask(api, saved[0], own_node)
    first, second = (x509.load_pem_x509_certificate(one.cert) for one in (credentials, saved[0]))
    assert first.subject == second.subject
    assert renew_at(credentials.cert) < first.not_valid_after_utc - timedelta(days=100)


def test_a_node_renews_no_other_nodes_certificate(api: Served) -> None:
    credentials = identity(api, joins(api, a_token(api)))
    body = {"request": request_of(KEY, "n2").decode()}

    with pytest.raises(Forbidden, match="cannot renew the certificate of this node"):
        ask(
            api,
            credentials,
            lambda client: client.request("POST", "/gitward/v1/nodes/n2/certificate", body=body),
        )


def test_without_a_certificate_only_ca_and_join_are_open(api: Served) -> None:
    admin = load_kubeconfig(api.config_of())
    nobody = ssl.create_default_context(cadata=admin.ca.decode())
    with urllib.request.urlopen(f"{api.url}/gitward/v1/ca", context=nobody) as answer:  # Our own URL.
        assert answer.status == 200
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{api.url}/gitward/v1/history", context=nobody)  # Our own URL.


@pytest.mark.parametrize("text", ["", "gw1", "gw1.x.y.z", "gw1." + "0" * 64 + ".tokenaaa." + "g" * 40])
def test_what_is_no_token_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(BadRequest, match=r"wanted gw1\.… as `gitward token create` prints it"):
        JoinToken.of(text)


def leaves(name: str) -> Callable[[Client], Awaitable[object]]:
    return lambda client: client.request("POST", f"/gitward/v1/nodes/{name}/leave", body={})


def test_a_node_leaves_by_its_own_word_and_comes_back_by_a_token_alone(api: Served) -> None:
    mine = identity(api, joins(api, a_token(api)))
    joins(api, a_token(api, "tokenbbb"), "n2", new_key())

    with pytest.raises(Forbidden):
        ask(api, mine, leaves("n2"))
    ask(api, mine, leaves("n1"))

    with pytest.raises(Unauthorized, match="node n1 was deleted: join again"):
        ask(api, mine, own_node)
    assert joins(api, a_token(api, "tokenccc")).cert


def test_the_masters_own_node_does_not_leave(api: Served) -> None:
    async def as_agent() -> None:
        async with Client.from_kubeconfig(api.config_of("n1")) as client:
            await client.create(NODE, {  # type: ignore[misc] # A node.
                "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "spec": {}})  # fmt: skip
            await leaves("n1")(client)

    with pytest.raises(Forbidden, match="it is the master's own"):
        api.run(as_agent())
