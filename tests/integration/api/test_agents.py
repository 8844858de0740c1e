"""What an agent does over its own certificate: its node, its lease, its pods, and a cache that keeps itself."""

from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

import pytest

from gitops.client import Client, Event, follow
from gitops.kinds.coordination import LEASE
from gitops.kinds.core.config import SECRET
from gitops.kinds.core.event import EVENT
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD
from gitops.kinds.core.service import SERVICE
from gitops.kinds.errors import AlreadyExists, Conflict, Forbidden, NotFound
from gitops.store.memory import CHANGES_MAX
from tests.integration.api.builders import Json, a_node, a_pod, a_secret, but, pod_status
from tests.integration.api.served import Served

R = TypeVar("R")


def as_node(api: Served, name: str, work: Callable[[Client], Coroutine[Any, Any, R]]) -> R:
    async def run() -> R:
        async with Client.from_kubeconfig(api.config_of(name)) as client:
            return await work(client)

    return api.run(run())


def test_an_agent_registers_its_node_and_renews_its_lease(api: Served) -> None:
    async def work(client: Client) -> None:
        node: Json = await client.create(NODE, a_node("n1"))
        with pytest.raises(AlreadyExists):
            await client.create(NODE, a_node("n1"))
        await client.update_status(NODE, but(node, status=a_node("n1")["status"]))
        lease: Json = {
            "apiVersion": LEASE.api_version,
            "kind": "Lease",
            "metadata": {"name": "n1", "namespace": "kube-node-lease"},
            "spec": {
                "holderIdentity": "n1",
                "leaseDurationSeconds": 40,
                "renewTime": "2026-01-01T00:00:00.000000Z",
            },
        }
        made = await client.create(LEASE, lease)
        await client.update(
            LEASE, but(made, spec={**lease["spec"], "renewTime": "2026-01-01T00:00:10.000000Z"})
        )
        with pytest.raises(Conflict):
            await client.update(LEASE, made)

    as_node(api, "n1", work)

    assert api.found(NODE, "", "n1")["status"]["conditions"][0]["status"] == "True"
    assert api.found(LEASE, "kube-node-lease", "n1")["spec"]["renewTime"] == "2026-01-01T00:00:10.000000Z"


def test_an_agent_reports_on_its_pods_and_finishes_their_deletion(api: Served) -> None:
    api.create(a_pod("a", node="n1", ready=False))
    api.kubectl("delete", "pod", "a", "--wait=false")

    async def work(client: Client) -> None:
        pod: Json = await client.get(POD, "default", "a")
        await client.patch(POD, "default", "a", {"status": pod_status(ready=True)}, subresource="status")
        await client.update_status(
            POD, but(await client.get(POD, "default", "a"), status=pod_status(ready=False))
        )
        event: Json = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": "a.", "namespace": "default"},
            "involvedObject": {
                "kind": "Pod",
                "namespace": "default",
                "name": "a",
                "uid": pod["metadata"]["uid"],
            },
            "reason": "Killing",
            "message": "Stopping container main",
            "type": "Normal",
        }
        made = await client.create(EVENT, event)
        await client.patch(EVENT, "default", made["metadata"]["name"], {"count": 2})
        with pytest.raises(Conflict, match="UID in the precondition"):
            await client.delete(POD, "default", "a", grace_seconds=0, uid="another")
        await client.delete(POD, "default", "a", grace_seconds=0, uid=pod["metadata"]["uid"])
        with pytest.raises(NotFound):
            await client.get(POD, "default", "a")

    as_node(api, "n1", work)


def test_a_node_writes_no_other_node_lease_or_pod_and_no_specification(api: Served) -> None:
    api.create(a_node("n2"), a_pod("b", node="n2"), a_pod("a", node="n1"))

    async def work(client: Client) -> None:
        other: Json = api.found(NODE, "", "n2")
        pod: Json = api.found(POD, "default", "b")
        for attempt in (
            client.create(NODE, a_node("n3")),
            client.create(NODE, but(a_node("n1"), metadata={"generateName": "n1"})),
            client.update(NODE, other),
            client.update_status(NODE, other),
            client.delete(NODE, "", "n2"),
            client.update_status(POD, pod),
            client.delete(POD, "default", "b", grace_seconds=0),
            client.get(POD, "default", "b"),
            client.list(POD),
            client.list(POD, field_selector="spec.nodeName=n2"),
            client.list(POD, field_selector="spec.nodeName!=n2"),
            client.update(POD, api.found(POD, "default", "a")),
            client.create(POD, a_pod("c", node="n1")),
            client.create(SERVICE, a_pod("c")),
        ):
            with pytest.raises(Forbidden):
                await attempt

    as_node(api, "n1", work)


def test_a_secret_goes_only_to_a_node_whose_pod_needs_it_and_by_name_alone(api: Served) -> None:
    pod = a_pod("a", node="n1")
    pod["spec"]["volumes"] = [{"name": "key", "secret": {"secretName": "key"}}]
    api.create(pod, a_secret("key", "Y2FuYXJ5"), a_secret("other", "Y2FuYXJ5"))

    async def work(client: Client) -> None:
        assert (await client.get(SECRET, "default", "key"))["data"]["key"].reveal() == b"Y2FuYXJ5"
        named = await client.list(SECRET, "default", field_selector="metadata.name=key")
        assert [secret["metadata"]["name"] for secret in named.items] == ["key"]
        for attempt in (
            client.get(SECRET, "default", "other"),
            client.get(SECRET, "kube-system", "key"),
            client.list(SECRET, "default"),
            client.list(SECRET, field_selector="metadata.name=key"),
            client.list(SECRET, "default", field_selector="metadata.name!=other"),
        ):
            with pytest.raises(Forbidden):
                await attempt

    as_node(api, "n1", work)
    with pytest.raises(Forbidden, match='User "system:node:n2" cannot get resource "secrets"'):
        as_node(api, "n2", lambda client: client.get(SECRET, "default", "key"))


def test_a_watch_of_a_secret_ends_when_the_pod_that_needed_it_is_gone(api: Served) -> None:
    pod = a_pod("a", node="n1")
    pod["spec"]["volumes"] = [{"name": "key", "secret": {"secretName": "key"}}]
    api.create(pod, a_secret("key", "Y2FuYXJ5"))

    async def work(client: Client) -> None:
        watch = client.watch(SECRET, "default", resource_version="0", field_selector="metadata.name=key")
        async with aclosing(watch) as events:
            assert (await anext(events)).type == "ADDED"
            await api.removed(POD, "default", "a")
            await api.changed(SECRET, "default", "key")
            with pytest.raises(Forbidden):
                await anext(events)

    as_node(api, "n1", work)


def test_following_tells_what_is_there_then_synced_then_what_changes(api: Served) -> None:
    api.create(a_pod("a", node="n1"), a_pod("b", node="n2"))

    async def work(client: Client) -> list[tuple[str, str]]:
        told: list[tuple[str, str]] = []
        async with aclosing(follow(client, POD, field_selector="spec.nodeName=n1")) as events:
            async for event in events:
                told.append(_short(event))
                if event.type == "SYNCED":
                    await api.created(a_pod("c", node="n1"))
                    await api.removed(POD, "default", "a")
                if len(told) == 4:
                    return told
        return told

    assert as_node(api, "n1", work) == [("ADDED", "a"), ("SYNCED", ""), ("ADDED", "c"), ("DELETED", "a")]


def test_following_survives_a_gap_and_tells_the_deletes_in_it(api: Served) -> None:
    """The connection breaks, so much happens that the watch cannot go on, and the new list is compared with the old."""
    api.create(a_pod("a", node="n1"), a_pod("b", node="n1"))

    async def work(client: Client) -> list[tuple[str, str]]:
        told: list[tuple[str, str]] = []
        async with aclosing(follow(client, POD, field_selector="spec.nodeName=n1")) as events:
            async for event in events:
                told.append(_short(event))
                if event.type == "SYNCED" and len(told) == 3:
                    await client.close()  # As if the network had gone.
                    await api.removed(POD, "default", "a")
                    await api.created(a_pod("c", node="n1"))
                    await api.changed(POD, "default", "b", times=CHANGES_MAX)
                if event.type == "SYNCED" and len(told) > 3:
                    return told
        return told

    assert as_node(api, "n1", work) == [
        ("ADDED", "a"),
        ("ADDED", "b"),
        ("SYNCED", ""),
        ("DELETED", "a"),
        ("MODIFIED", "b"),
        ("ADDED", "c"),
        ("SYNCED", ""),
    ]


def _short(event: Event[Any]) -> tuple[str, str]:
    return event.type, event.object["metadata"]["name"] if event.object else ""
