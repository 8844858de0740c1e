"""A container's environment."""

from base64 import b64encode
from typing import Any, cast

import pytest

from agent.pods.environment import World, environment, service_links
from agent.volumes.downward import Surroundings
from agent.volumes.expansion import expand
from agent.volumes.references import TokenWanted
from gitops.kinds.core.config import ConfigMap, Secret
from gitops.kinds.core.service import Service
from gitops.kinds.errors import NotFound
from gitops.kinds.sensitive import Sensitive
from tests.agent_world import a_pod

AROUND = Surroundings("n1", "192.0.2.1", "10.77.1.2", {"cpu": "2", "memory": "4Gi"})


class Known:
    """One ConfigMap `settings`, one Secret `login`."""

    def config_map(self, namespace: str, name: str) -> ConfigMap | None:
        found = {"data": {"colour": "red", "not=a name": "x"}, "binaryData": {"raw": "AAE="}}
        return cast(ConfigMap, found) if (namespace, name) == ("shop", "settings") else None

    def secret(self, namespace: str, name: str) -> Secret | None:
        found = {"data": {"password": Sensitive(b64encode(b"hush"))}}
        return cast(Secret, found) if (namespace, name) == ("shop", "login") else None

    def token(self, wanted: TokenWanted) -> Sensitive | None:
        return None


def a_service(name: str, namespace: str, address: str, *ports: dict[str, Any]) -> Service:
    return cast(
        Service,
        {
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"clusterIP": address, "ports": list(ports)},
        },
    )


HTTP = {"port": 80, "protocol": "TCP", "name": "http-web"}
SERVICES = [
    a_service("kubernetes", "default", "10.78.0.1", {"port": 443, "protocol": "TCP", "name": "https"}),
    a_service("my-web", "shop", "10.78.0.7", HTTP),
    a_service("other", "elsewhere", "10.78.0.8", HTTP),
    a_service("headless", "shop", "None", HTTP),
]


def made(*env: dict[str, Any], env_from: tuple[dict[str, Any], ...] = (), **spec: Any) -> dict[str, str]:
    """Without the variables of services."""
    pod = a_pod(
        containers=[{"name": "app", "image": "shop:1", "env": list(env), "envFrom": list(env_from)}], **spec
    )
    return dict(environment(pod, pod["spec"]["containers"][0], World(Known(), (), AROUND)))


def ref(kind: str, name: str, key: str, **more: Any) -> dict[str, Any]:
    return {"name": "V", "valueFrom": {kind: {"name": name, "key": key, **more}}}


def field(path: str) -> dict[str, Any]:
    return {"name": "V", "valueFrom": {"fieldRef": {"fieldPath": path}}}


def resource(name: str, **more: Any) -> dict[str, Any]:
    return {"name": "V", "valueFrom": {"resourceFieldRef": {"resource": name, **more}}}


SPEC: dict[str, tuple[dict[str, Any], str]] = {
    "plain": ({"name": "V", "value": "x"}, "x"),
    "config map key": (ref("configMapKeyRef", "settings", "colour"), "red"),
    "secret key": (ref("secretKeyRef", "login", "password"), "hush"),
    "name": (field("metadata.name"), "web"),
    "label": (field("metadata.labels['app']"), "web"),
    "absent label": (field("metadata.labels['none']"), ""),
    "node": (field("spec.nodeName"), "n1"),
    "pod address": (field("status.podIP"), "10.77.1.2"),
    "host address": (field("status.hostIP"), "192.0.2.1"),
    "unset cpu limit is the node's": (resource("limits.cpu"), "2"),
    "memory limit in Mi": (resource("limits.memory", divisor="1Mi"), "4096"),
}


@pytest.mark.parametrize(("variable", "value"), SPEC.values(), ids=SPEC.keys())
def test_a_variable(variable: dict[str, Any], value: str) -> None:
    assert made(variable)["V"] == value


def test_an_optional_key_that_is_absent_sets_nothing() -> None:
    assert "V" not in made(ref("configMapKeyRef", "settings", "none", optional=True))
    assert "V" not in made(ref("secretKeyRef", "none", "none", optional=True))


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        (ref("configMapKeyRef", "none", "x"), 'configmap "none" not found'),
        (ref("configMapKeyRef", "settings", "x"), "couldn't find key x in ConfigMap shop/settings"),
        (ref("secretKeyRef", "none", "x"), 'secret "none" not found'),
    ],
)
def test_a_required_key_that_is_absent_is_told_in_kubernetes_words(
    variable: dict[str, Any], message: str
) -> None:
    with pytest.raises(NotFound, match=message.replace("(", r"\(")):
        made(variable)


def test_env_wins_over_env_from_and_sees_it() -> None:
    found = made(
        {"name": "BOTH", "value": "$(C_colour)-$(LATER)"},
        {"name": "LATER", "value": "1"},
        {"name": "C_raw", "value": "mine"},
        env_from=({"prefix": "C_", "configMapRef": {"name": "settings"}}, {"secretRef": {"name": "login"}}),
    )

    assert found == {
        "C_colour": "red",
        "C_raw": "mine",
        "password": "hush",
        "BOTH": "red-$(LATER)",
        "LATER": "1",
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$(A)", "1"),
        ("$$(A)", "$(A)"),
        ("$(NONE)", "$(NONE)"),
        ("$A $", "$A $"),
        ("$(A", "$(A"),
        ("$$$(A)", "$1"),
        ("a$(A)b$(A)", "a1b1"),
    ],
)
def test_expansion(text: str, value: str) -> None:
    assert expand(text, {"A": "1"}) == value


def test_services_of_the_namespace_and_the_api_have_variables() -> None:
    assert service_links(SERVICES, "shop", every=True) == {
        "KUBERNETES_SERVICE_HOST": "10.78.0.1",
        "KUBERNETES_SERVICE_PORT": "443",
        "KUBERNETES_SERVICE_PORT_HTTPS": "443",
        "KUBERNETES_PORT": "tcp://10.78.0.1:443",
        "KUBERNETES_PORT_443_TCP": "tcp://10.78.0.1:443",
        "KUBERNETES_PORT_443_TCP_PROTO": "tcp",
        "KUBERNETES_PORT_443_TCP_PORT": "443",
        "KUBERNETES_PORT_443_TCP_ADDR": "10.78.0.1",
        "MY_WEB_SERVICE_HOST": "10.78.0.7",
        "MY_WEB_SERVICE_PORT": "80",
        "MY_WEB_SERVICE_PORT_HTTP_WEB": "80",
        "MY_WEB_PORT": "tcp://10.78.0.7:80",
        "MY_WEB_PORT_80_TCP": "tcp://10.78.0.7:80",
        "MY_WEB_PORT_80_TCP_PROTO": "tcp",
        "MY_WEB_PORT_80_TCP_PORT": "80",
        "MY_WEB_PORT_80_TCP_ADDR": "10.78.0.7",
    }
    assert all(name.startswith("KUBERNETES_") for name in service_links(SERVICES, "shop", every=False))
