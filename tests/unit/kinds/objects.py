"""Objects for the tests of kinds: complete enough to be valid, with what a test says put over them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from gitops.kinds.kind import Kind

NOW: Final = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
Json = Any


def a_container(**fields: object) -> dict[str, Any]:
    return {"name": "web", "image": "shop/web:1", **fields}


def a_pod(
    status: Mapping[str, object] | None = None, meta: Mapping[str, object] | None = None, **spec: object
) -> Json:
    """A pod as a manifest states it, not defaulted."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "creationTimestamp": "2026-01-01T11:00:00Z",
            **(meta or {}),
        },
        "spec": {"containers": [a_container()], **spec},
        **({"status": status} if status is not None else {}),
    }


def a_deployment(**spec: object) -> Json:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [a_container()]}},
            **spec,
        },
    }


def a_service(**spec: object) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}], **spec},
    }


def an_ingress(**spec: object) -> Json:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    rule = {
        "host": "shop.example",
        "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"rules": [rule], **spec},
    }


def a_secret(**fields: object) -> Json:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys", "namespace": "shop"}, **fields}


def problems(kind: Kind[Any], obj: Any) -> list[str]:
    return [f"{problem.field}: {problem.message}" for problem in kind.check(kind.defaults(obj))]


def updates(kind: Kind[Any], old: Any, new: Any) -> list[str]:
    return [
        f"{one.field}: {one.message}" for one in kind.check_update(kind.defaults(old), kind.defaults(new))
    ]


def row(kind: Kind[Any], obj: Any) -> dict[str, object]:
    assert kind.cells is not None
    return dict(
        zip((column.name for column in kind.columns), kind.cells(kind.defaults(obj), NOW), strict=True)
    )
