"""From Ingress objects to HAProxy's files, and what is told of bad ones. Golden files: read their diff like code."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agent.ingress.haproxy import Certificate, ProxySettings, render
from agent.ingress.routes import Plan, plan
from agent.ingress.slots import assign
from agent.services.table import by_service

GOLDEN = Path(__file__).parent / "golden"
SETTINGS = ProxySettings("0.0.0.0:80", "0.0.0.0:443", Path("/state/ingress"), 100, 101)  # Not bound.
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"namespace": "shop", "name": "web"},
    "spec": {
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}],
    },
}
OUTSIDE = {
    **SERVICE,
    "metadata": {"namespace": "shop", "name": "outside"},
    "spec": {"type": "ExternalName", "externalName": "169.254.169.254"},
}


def text_of(found: Plan) -> str:
    slots = {each.name: assign((), each.endpoints) for each in found.backends}
    certificates = [
        Certificate("default.pem", ()),
        *(Certificate("_".join(use.secret), use.hosts) for use in found.tls),
    ]
    rendered = render(found, slots, certificates, SETTINGS)
    files = (f"--- {name}\n{content}" for name, content in rendered.files.items())
    troubles = "".join(f"{'/'.join(trouble.ingress)}: {trouble.message}\n" for trouble in found.troubles)
    return f"{rendered.config}{''.join(files)}--- troubles\n{troubles}"


@pytest.mark.parametrize(
    "path", sorted(GOLDEN.glob("*.input.yaml")), ids=lambda path: path.name.split(".")[0]
)
def test_files_of_a_cluster(path: Path, golden: Callable[[Path, str], None]) -> None:
    case = yaml.safe_load(path.read_text())

    found = plan(case["ingresses"], case["services"], by_service(case["slices"]))

    golden(path.with_name(path.name.replace(".input.yaml", ".expected.txt")), text_of(found))


def an_ingress(
    *,
    name: str = "web",
    host: str = "a.example",
    path: str = "/",
    service: str = "web",
    tls: tuple[Any, ...] = (),
) -> Any:
    backend = {"service": {"name": service, "port": {"number": 80}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"namespace": "shop", "name": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {
            "rules": [
                {"host": host, "http": {"paths": [{"path": path, "pathType": "Prefix", "backend": backend}]}}
            ],
            "tls": list(tls),
        },
    }


def troubles(*ingresses: Any) -> list[str]:
    return [trouble.message for trouble in plan(ingresses, [SERVICE, OUTSIDE], {}).troubles]  # type: ignore[list-item] # Plain dicts.


TOLD = {
    "a host that is no name": (
        an_ingress(host="a b"),
        "spec.rules[0].host: found 'a b', wanted a DNS name, possibly with `*.` before it",
    ),
    "a path that is none": (
        an_ingress(path='/"'),
        "spec.rules[0].http.paths[0]: path: found '/\"', wanted a URL path that begins with a slash",
    ),
    "a service that is not there": (
        an_ingress(service="gone"),
        "spec.rules[0].http.paths[0]: Service shop/gone does not exist",
    ),
    "a service outside": (
        an_ingress(service="outside"),
        "spec.rules[0].http.paths[0]: Service shop/outside is an ExternalName, which an ingress does not follow",
    ),
    "a secret with a strange name": (
        an_ingress(tls=({"secretName": "../../etc", "hosts": ["a.example"]},)),
        "spec.tls: secretName: found '../../etc', wanted a DNS name",
    ),
}


@pytest.mark.parametrize(("ingress", "message"), TOLD.values(), ids=TOLD.keys())
def test_what_is_wrong_is_told(ingress: Any, message: str) -> None:
    assert troubles(ingress) == [message]


def test_the_older_ingress_keeps_a_path_and_a_certificate() -> None:
    old = an_ingress(name="old", tls=({"secretName": "one", "hosts": ["a.example"]},))
    new = an_ingress(name="new", tls=({"secretName": "two", "hosts": ["a.example"]},))
    new["metadata"]["creationTimestamp"] = "2026-02-01T00:00:00Z"

    assert troubles(new, old) == [
        "spec.rules[0].http.paths[0]: path / of host a.example belongs to Ingress shop/old, which is older",
        "spec.tls: host a.example has its certificate from Ingress shop/old, which is older",
    ]


@given(
    host=st.text(max_size=40),
    path=st.text(max_size=40),
    service=st.text(max_size=20),
    secret=st.text(max_size=20),
)
def test_no_text_of_an_ingress_becomes_text_of_the_configuration(
    host: str, path: str, service: str, secret: str
) -> None:
    """Whatever stands in it: the configuration keeps its lines, and each map line has one key and one value."""
    hostile = an_ingress(
        host=host, path=path, service=service, tls=({"secretName": secret, "hosts": [host]},)
    )
    text = text_of(plan([hostile], [SERVICE], {}))  # type: ignore[list-item] # A plain dict.
    config, *files = text.partition("--- troubles")[0].split("--- ")

    allowed = (
        "global",
        "defaults",
        "frontend ingress",
        "backend gitward-not-found",
        "backend shop_",
        "#",
        "    ",
    )
    assert all(line.startswith(allowed) for line in config.splitlines())
    assert config.count("\nbackend") <= 2
    for content in files[:3]:
        assert all(len(line.split(" ")) == 2 and line.isascii() for line in content.splitlines()[1:])
