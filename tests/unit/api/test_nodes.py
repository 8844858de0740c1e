"""What of a pod tells its node which secrets and configmaps it may read."""

from typing import Any, cast

from gitops.api.nodes import references
from gitops.kinds.core.pod import Pod


def a_pod(spec: dict[str, Any]) -> Pod:
    meta = {"name": "a", "namespace": "shop"}
    return cast(Pod, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})


def test_every_way_to_refer_to_a_secret_or_configmap_is_seen() -> None:
    container = {
        "name": "main",
        "envFrom": [{"secretRef": {"name": "s-env-from"}}, {"configMapRef": {"name": "c-env-from"}}],
        "env": [
            {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s-env", "key": "k"}}},
            {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "c-env", "key": "k"}}},
            {"name": "C", "value": "plain"},
        ],
    }
    volumes = [
        {"name": "a", "secret": {"secretName": "s-volume"}},
        {"name": "b", "configMap": {"name": "c-volume"}},
        {
            "name": "c",
            "projected": {"sources": [{"secret": {"name": "s-part"}}, {"configMap": {"name": "c-part"}}]},
        },
        {"name": "d", "emptyDir": {}},
    ]
    init = {
        "name": "init",
        "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s-init", "key": "k"}}}],
    }
    spec = {
        "containers": [container],
        "initContainers": [init],
        "ephemeralContainers": [{"name": "look", "envFrom": [{"configMapRef": {"name": "c-look"}}]}],
        "volumes": volumes,
        "imagePullSecrets": [{"name": "s-pull"}],
    }

    found = {(kind, name) for kind, namespace, name in references(a_pod(spec)) if namespace == "shop"}

    secrets = ("s-pull", "s-volume", "s-part", "s-env-from", "s-env", "s-init")
    config_maps = ("c-volume", "c-part", "c-env-from", "c-env", "c-look")
    assert found == {*(("Secret", name) for name in secrets), *(("ConfigMap", name) for name in config_maps)}


def test_a_pod_that_refers_to_nothing_gives_its_node_nothing() -> None:
    assert list(references(a_pod({"containers": [{"name": "main"}]}))) == []
