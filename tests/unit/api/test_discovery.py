"""What discovery and OpenAPI tell of the registry."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from gitops.api.discovery import aggregated, by_group, resource_list
from gitops.api.openapi import document
from gitops.kinds import registry
from gitops.kinds.metrics import COMPUTED
from gitops.kinds.reviews import REVIEWS


def test_pods_are_told_with_what_is_answered_of_them_and_no_more() -> None:
    core = orjson.loads(aggregated("v2", core_only=True))["items"][0]["versions"][0]["resources"]
    pods = next(resource for resource in core if resource["resource"] == "pods")

    assert pods["responseKind"] == {"group": "", "version": "v1", "kind": "Pod"}
    assert pods["shortNames"] == ["po"]
    assert [sub["subresource"] for sub in pods["subresources"]] == [
        "attach",
        "ephemeralcontainers",
        "eviction",
        "exec",
        "log",
        "portforward",
        "resize",
        "status",
    ]


def test_both_forms_tell_the_same_resources() -> None:
    legacy = {
        (kinds[0].group, resource["name"])
        for kinds in by_group().values()
        for resource in orjson.loads(resource_list(kinds))["resources"]
        if "/" not in resource["name"]
    }
    items = [
        item for core in (True, False) for item in orjson.loads(aggregated("v2", core_only=core))["items"]
    ]
    modern = {
        (item["metadata"].get("name", ""), resource["resource"])
        for item in items
        for version in item["versions"]
        for resource in version["resources"]
    }

    assert legacy == modern
    # And events of their own group; autoscalers have one name in both versions.
    assert len(modern) == len(registry.ALL) + len(COMPUTED) + len(REVIEWS) + 1


@pytest.mark.parametrize(
    "path", sorted({f"{'apis' if k.group else 'api'}/{k.api_version}" for k in registry.ALL})
)
def test_every_reference_in_an_openapi_document_leads_somewhere(path: str) -> None:
    found = orjson.loads(document(path))

    schemas = found["components"]["schemas"]
    assert set(references(found)) <= {f"#/components/schemas/{name}" for name in schemas}
    assert found["paths"]
    assert not any(isinstance(value, list) for value in types(found))


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def types(node: Any) -> Iterator[Any]:
    """Every `type` that is no field's name: OpenAPI 3.0 allows one each."""
    if isinstance(node, dict):
        if "type" in node and not isinstance(node["type"], dict):
            yield node["type"]
        for value in node.values():
            yield from types(value)
