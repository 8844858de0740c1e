"""What the API says on the wire, rule by rule, where kubectl would hide it."""

import asyncio
from contextlib import aclosing
from typing import Any

import aiohttp
import orjson
import pytest

from gitops.api.reads import WHOLE_OBJECTS_MAX
from gitops.client import Client
from gitops.kinds.core.pod import POD
from gitops.kinds.errors import Expired
from gitops.store.memory import CHANGES_MAX
from tests.integration.api.builders import a_node, a_pod, a_secret
from tests.integration.api.served import Served

PODS = "/api/v1/namespaces/default/pods"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


def ask(api: Served, path: str, *, method: str = "GET", node: str = "", **more: Any) -> tuple[int, Any]:
    """Code and JSON of one request."""

    async def request() -> tuple[int, Any]:
        async with Client.from_kubeconfig(api.config_of(node)) as client:
            tls = client.credentials.tls()
            async with (
                aiohttp.ClientSession() as session,
                session.request(method, api.url + path, ssl=tls, **more) as answer,
            ):
                return answer.status, orjson.loads(await answer.read())

    return api.run(request())


def watched(api: Served, query: str, *, accept: str = "application/json") -> list[dict[str, Any]]:
    """Every event of a watch that ends after one second."""

    async def request() -> list[dict[str, Any]]:
        async with Client.from_kubeconfig(api.config_of()) as client:
            tls = client.credentials.tls()
            url = f"{api.url}{PODS}?watch=true&timeoutSeconds=1&{query}"
            async with (
                aiohttp.ClientSession(headers={"Accept": accept}) as session,
                session.get(url, ssl=tls) as answer,
            ):
                return [orjson.loads(line) for line in (await answer.read()).splitlines()]

    return api.run(request())


def names(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]


def test_a_watch_from_nothing_tells_first_what_is_there(api: Served) -> None:
    api.create(a_pod("a"), a_pod("b"))

    assert names(watched(api, "")) == [("ADDED", "a"), ("ADDED", "b")]
    assert names(watched(api, "resourceVersion=0")) == [("ADDED", "a"), ("ADDED", "b")]


def test_a_watch_from_a_version_tells_only_what_came_after(api: Served) -> None:
    api.create(a_pod("a"))
    _, listed = ask(api, PODS)
    api.create(a_pod("b"))
    api.remove(POD, "default", "a")

    events = watched(api, f"resourceVersion={listed['metadata']['resourceVersion']}")

    assert names(events) == [("ADDED", "b"), ("DELETED", "a")]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(versions)


def test_a_watch_resumes_after_any_event_of_one_transaction(api: Served) -> None:
    api.create(a_pod("a"), a_pod("b"), a_pod("c"))
    versions = [event["object"]["metadata"]["resourceVersion"] for event in watched(api, "")]

    assert names(watched(api, f"resourceVersion={versions[1]}")) == [("ADDED", "c")]


def test_what_stops_to_match_is_told_as_deleted_and_what_starts_to_as_added(api: Served) -> None:
    api.create(a_pod("a", labels={"app": "web"}), a_pod("b"))
    _, listed = ask(api, PODS)
    for name, labels in (("a", {}), ("b", {"app": "web"})):
        pod = api.found(POD, "default", name)
        api.update({**pod, "metadata": {**pod["metadata"], "labels": labels}})

    events = watched(api, f"labelSelector=app%3Dweb&resourceVersion={listed['metadata']['resourceVersion']}")

    assert names(events) == [("DELETED", "a"), ("ADDED", "b")]
    assert events[0]["object"]["metadata"]["labels"] == {"app": "web"}


def test_a_list_opened_as_a_watch_ends_its_first_part_with_a_marked_bookmark(api: Served) -> None:
    api.create(a_pod("a"))

    events = watched(
        api,
        "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&resourceVersion=",
    )

    assert [event["type"] for event in events] == ["ADDED", "BOOKMARK"]
    assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert events[1]["object"]["kind"] == "Pod"


def test_a_watch_of_metadata_or_of_a_table_has_such_events(api: Served) -> None:
    api.create(a_pod("a"))

    metadata = watched(api, "", accept="application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io")
    table = watched(api, "", accept=TABLE)

    assert metadata[0]["object"]["kind"] == "PartialObjectMetadata"
    assert "spec" not in metadata[0]["object"]
    assert table[0]["object"]["rows"][0]["cells"][0] == "a"


def test_a_version_that_does_not_exist_yet_is_told_as_too_large(api: Served) -> None:
    code, status = ask(api, f"{PODS}?resourceVersion=99999999999")

    assert (code, status["reason"]) == (504, "Timeout")
    assert status["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


def test_pages_are_of_one_moment_though_pods_come_and_go(api: Served) -> None:
    api.create(a_pod("a"), a_pod("c"), a_pod("e"))
    _, first = ask(api, f"{PODS}?limit=2")
    api.create(a_pod("d"))
    api.remove(POD, "default", "e")

    _, second = ask(api, f"{PODS}?limit=2&continue={first['metadata']['continue']}")

    assert first["metadata"]["remainingItemCount"] == 1
    assert [item["metadata"]["name"] for item in second["items"]] == ["e"]
    assert second["metadata"] == {"resourceVersion": first["metadata"]["resourceVersion"]}


def test_a_page_token_is_bound_to_its_question(api: Served) -> None:
    api.create(a_pod("a"), a_pod("b"))
    _, first = ask(api, f"{PODS}?limit=1")
    token = first["metadata"]["continue"]

    code, status = ask(api, f"/api/v1/namespaces/default/secrets?limit=1&continue={token}")

    assert (code, status["reason"]) == (410, "Expired")
    code, rest = ask(api, f"{PODS}?limit=1&continue={status['metadata']['continue']}")
    assert [item["metadata"]["name"] for item in rest["items"]] == ["b"]


def test_errors_are_status_objects_in_kubernetes_words(api: Served) -> None:
    cases = {
        f"{PODS}/none": (404, "NotFound", 'pods "none" not found'),
        f"{PODS}?labelSelector=%21%21": (400, "BadRequest", "unable to parse requirement"),
        f"{PODS}?fieldSelector=spec.none%3Da": (400, "BadRequest", "field label not supported: spec.none"),
        f"{PODS}?resourceVersion=x": (400, "BadRequest", "invalid resource version"),
        f"{PODS}?continue=x": (400, "BadRequest", "continue key is not valid"),
        "/api/v1/nonsense": (404, "NotFound", "the server could not find the requested resource"),
        "/apis/apps/v9/deployments": (404, "NotFound", "the server could not find the requested resource"),
    }
    for path, (code, reason, message) in cases.items():
        found_code, status = ask(api, path)
        assert (found_code, status["reason"]) == (code, reason), path
        assert message in status["message"], path


def test_an_unknown_accept_is_not_acceptable_and_an_unknown_body_type_not_supported(api: Served) -> None:
    code, status = ask(api, PODS, headers={"Accept": "application/xml"})
    assert (code, status["reason"]) == (406, "NotAcceptable")

    code, status = ask(
        api, f"{PODS}/a", method="PATCH", data=b"{}", headers={"Content-Type": "application/xml"}, node="n1"
    )
    assert code == 403  # Who may not patch is told that first.


def test_a_body_of_another_kind_name_or_namespace_is_refused(api: Served) -> None:
    for body in (
        {**a_node("n1"), "kind": "Pod"},
        {**a_node("n1"), "metadata": {"name": "n1", "namespace": 3}},
        {**a_node("n1"), "metadata": []},
    ):
        code, status = ask(api, "/api/v1/nodes", method="POST", json=body, node="n1")
        assert code in (400, 422), body
        assert status["kind"] == "Status"


def test_a_long_list_comes_compressed(api: Served) -> None:
    api.create(*(a_pod(f"pod-{number}") for number in range(300)))

    _, listed = ask(api, PODS)

    assert len(listed["items"]) == 300


def test_the_operator_sees_the_values_of_a_secret_but_not_in_its_metadata(api: Served) -> None:
    api.create(a_secret("key", "Y2FuYXJ5"))
    path = "/api/v1/namespaces/default/secrets/key"

    assert ask(api, path)[1]["data"] == {"key": "Y2FuYXJ5"}
    assert "Y2FuYXJ5" not in str(ask(api, path, headers={"Accept": TABLE})[1])


def test_a_watch_below_the_floor_says_expired(api: Served) -> None:
    api.create(a_pod("a"))
    api.run(api.changed(POD, "default", "a", times=CHANGES_MAX))

    async def request() -> None:
        async with (
            Client.from_kubeconfig(api.config_of()) as client,
            aclosing(client.watch(POD, "default", resource_version="65536")) as events,
        ):
            async for _ in events:
                pass

    with pytest.raises(Expired, match="too old resource version"):
        api.run(request())


def test_a_client_that_leaves_frees_its_watch(api: Served) -> None:
    async def request() -> None:
        async with Client.from_kubeconfig(api.config_of()) as client:
            watch = client.watch(POD, "default", resource_version="")
            waiting = asyncio.ensure_future(anext(watch))
            await asyncio.sleep(0.1)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            await watch.aclose()

    api.run(request())

    wanted = 'apiserver_longrunning_requests{resource="watched",verb="WATCH"} 0.0'
    assert wanted in api.kubectl("get", "--raw", "/metrics")


def test_a_version_of_the_past_is_listed_exactly(api: Served) -> None:
    api.create(a_pod("a"), a_pod("b"), a_pod("c"))
    _, before = ask(api, PODS)
    version = before["metadata"]["resourceVersion"]
    api.create(a_pod("d"))
    api.remove(POD, "default", "a")
    exact = f"resourceVersionMatch=Exact&resourceVersion={version}"

    code, then = ask(api, f"{PODS}?{exact}")
    _, first = ask(api, f"{PODS}?{exact}&limit=2")
    _, rest = ask(api, f"{PODS}?limit=2&continue={first['metadata']['continue']}")

    assert (code, then["items"]) == (200, before["items"])
    assert then["metadata"] == {"resourceVersion": version}
    assert [item["metadata"]["name"] for item in first["items"] + rest["items"]] == ["a", "b", "c"]
    assert first["metadata"]["remainingItemCount"] == 1
    assert rest["metadata"] == {"resourceVersion": version}


def test_a_version_before_the_window_is_gone(api: Served) -> None:
    api.create(a_pod("a"))
    _, before = ask(api, PODS)
    api.create(a_pod("b"))
    api.run(api.changed(POD, "default", "b", times=CHANGES_MAX + 1))

    version = before["metadata"]["resourceVersion"]
    code, status = ask(api, f"{PODS}?resourceVersionMatch=Exact&resourceVersion={version}")

    assert (code, status["reason"]) == (410, "Expired")


@pytest.mark.parametrize("accept", ["application/json", TABLE])
@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_a_long_list_comes_in_slices_and_is_whole(api: Served, accept: str, coding: str) -> None:
    names = [f"pod-{number:04d}" for number in range(WHOLE_OBJECTS_MAX + 1)]
    api.create(*(a_pod(name) for name in names))

    code, found = ask(api, PODS, headers={"Accept": accept, "Accept-Encoding": coding})

    rows = found.get("items") or [row["object"] for row in found["rows"]]
    assert code == 200
    assert [row["metadata"]["name"] for row in rows] == names
