"""Pod: defaults, rules, what may change, and its class of service."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.kinds import schema
from gitops.kinds.core.pod import POD, qos_class
from tests.unit.kinds.objects import a_container, a_pod


def problems(pod: Any) -> list[str]:
    return [f"{problem.field}: {problem.message}" for problem in POD.check(POD.defaults(pod))]


def test_a_bare_pod_is_filled_in_as_kubernetes_fills_it() -> None:
    pod = POD.defaults(a_pod())

    assert pod["spec"] == {
        "containers": [
            {
                "name": "web",
                "image": "shop/web:1",
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "imagePullPolicy": "IfNotPresent",
                "resources": {},
            }
        ],
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "terminationGracePeriodSeconds": 30,
        "securityContext": {},
        "enableServiceLinks": True,
    }
    assert pod.get("status") == {"phase": "Pending", "qosClass": "BestEffort"}


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("web", "Always"),
        ("web:latest", "Always"),
        ("web:1", "IfNotPresent"),
        ("registry:5000/web", "Always"),
        ("registry:5000/web:2", "IfNotPresent"),
        ("web@sha256:" + "0" * 64, "IfNotPresent"),
    ],
)
def test_an_image_is_pulled_always_only_if_its_tag_moves(image: str, policy: str) -> None:
    assert (
        POD.defaults(a_pod(containers=[a_container(image=image)]))["spec"]["containers"][0]["imagePullPolicy"]
        == policy
    )


def test_probes_ports_environment_and_volumes_get_their_defaults() -> None:
    container = a_container(
        ports=[{"containerPort": 80}],
        env=[{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        readinessProbe={"httpGet": {"port": 80}, "timeoutSeconds": 0},
        lifecycle={"preStop": {"httpGet": {"port": 80}}},
        resources={"limits": {"cpu": "1000m", "memory": "1024Mi"}},
    )
    volumes = [
        {"name": "a"},
        {"name": "b", "configMap": {"name": "c"}},
        {"name": "c", "hostPath": {"path": "/d"}},
        {
            "name": "d",
            "projected": {
                "sources": [{"downwardAPI": {"items": [{"path": "p", "fieldRef": {"fieldPath": "x"}}]}}]
            },
        },
    ]

    spec: Any = POD.defaults(a_pod(containers=[container], volumes=volumes))["spec"]

    filled = spec["containers"][0]
    assert filled["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert filled["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"
    assert filled["readinessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert filled["lifecycle"]["preStop"]["httpGet"] == {"port": 80, "path": "/", "scheme": "HTTP"}
    assert filled["resources"] == {
        "limits": {"cpu": "1", "memory": "1Gi"},
        "requests": {"cpu": "1", "memory": "1Gi"},
    }
    assert spec["volumes"][0] == {"name": "a", "emptyDir": {}}
    assert spec["volumes"][1]["configMap"]["defaultMode"] == 420
    assert spec["volumes"][2]["hostPath"]["type"] == ""
    projected = spec["volumes"][3]["projected"]
    assert projected["defaultMode"] == 420
    assert projected["sources"][0]["downwardAPI"]["items"][0]["fieldRef"]["apiVersion"] == "v1"


def test_on_the_nodes_network_a_container_port_is_the_nodes_port() -> None:
    pod = a_pod(hostNetwork=True, containers=[a_container(ports=[{"containerPort": 80}])])

    assert POD.defaults(pod)["spec"]["containers"][0].get("ports") == [
        {"containerPort": 80, "protocol": "TCP", "hostPort": 80}
    ]


optional = st.sampled_from(
    [
        {"hostNetwork": True},
        {"serviceAccountName": "a"},
        {"volumes": [{"name": "a"}, {"name": "b", "secret": {"secretName": "c"}}]},
        {"initContainers": [{"name": "i", "image": "i", "restartPolicy": "Always"}]},
        {"restartPolicy": "Never", "tolerations": [{"operator": "Exists"}]},
        {
            "containers": [
                a_container(resources={"limits": {"cpu": 1}}, livenessProbe={"exec": {"command": ["a"]}})
            ]
        },
    ]
)


@given(st.lists(optional, max_size=6))
def test_defaulting_twice_is_defaulting_once_and_shares_the_object(parts: list[dict[str, Any]]) -> None:
    pod = POD.defaults(a_pod(**{name: value for part in parts for name, value in part.items()}))

    assert POD.defaults(pod) is pod
    assert schema.violations(POD, pod) == []


BROKEN: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no container": ({"containers": []}, ["spec.containers: Required value"]),
    "no image": ({"containers": [{"name": "a"}]}, ["spec.containers[0].image: Required value"]),
    "a stop signal without a system": (
        {"containers": [a_container(lifecycle={"stopSignal": "SIGUSR1"})]},
        [
            "spec.containers[0].lifecycle.stopSignal: Forbidden: may not be set for containers with empty "
            "`spec.os.name`"
        ],
    ),
    "a stop signal of another system": (
        {"containers": [a_container(lifecycle={"stopSignal": "SIGUSR1"})], "os": {"name": "windows"}},
        [
            'spec.containers[0].lifecycle.stopSignal: Unsupported value: "SIGUSR1": supported values: "SIGKILL", '
            '"SIGTERM"'
        ],
    ),
    "a rule that restarts all": (
        {
            "containers": [
                a_container(
                    restartPolicy="Never",
                    restartPolicyRules=[
                        {
                            "action": "RestartAllContainers",
                            "exitCodes": {"operator": "In", "values": [42]},
                        }
                    ],
                )
            ]
        },
        [
            'spec.containers[0].restartPolicyRules[0].action: Unsupported value: "RestartAllContainers": supported '
            'values: "Restart"'
        ],
    ),
    "a system that is none": (
        {"os": {"name": "plan9"}},
        ['spec.os.name: Unsupported value: "plan9": supported values: "linux", "windows"'],
    ),
    "options of Windows on Linux": (
        {"os": {"name": "linux"}, "securityContext": {"windowsOptions": {"hostProcess": True}}},
        ["spec.securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod"],
    ),
    "a runtime class whose name is none": (
        {"runtimeClassName": "gVisor"},
        [
            'spec.runtimeClassName: Invalid value: "gVisor": a lowercase RFC 1123 subdomain must consist of lower '
            "case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. "
            "'example.com', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
    "two of one name": (
        {"containers": [a_container(), a_container()]},
        ['spec.containers[1].name: Duplicate value: "web"'],
    ),
    "an init container of the same name": (
        {"initContainers": [a_container()]},
        ['spec.containers[0].name: Duplicate value: "web"'],
    ),
    "a mount of nothing": (
        {"containers": [a_container(volumeMounts=[{"name": "v", "mountPath": "/v"}])]},
        ['spec.containers[0].volumeMounts[0].name: Not found: "v"'],
    ),
    "a restart policy that is none": (
        {"restartPolicy": "Sometimes"},
        [
            'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "Never", "OnFailure"',
        ],
    ),
    "requests over limits": (
        {"containers": [a_container(resources={"limits": {"cpu": "1"}, "requests": {"cpu": "2"}})]},
        [
            'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
        ],
    ),
    "a quantity that is none": (
        {"containers": [a_container(resources={"requests": {"memory": "1GB"}})]},
        [
            'spec.containers[0].resources.requests[memory]: Invalid value: "1GB": quantities must match the regular '
            "expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ],
    ),
    "a port beyond": (
        {"containers": [a_container(ports=[{"containerPort": 70000}])]},
        [
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ],
    ),
    "a probe without a way": (
        {"containers": [a_container(livenessProbe={"periodSeconds": 1})]},
        ["spec.containers[0].livenessProbe: Required value: must specify a handler type"],
    ),
    "a probe with two": (
        {"containers": [a_container(readinessProbe={"exec": {"command": ["a"]}, "tcpSocket": {"port": 1}})]},
        ["spec.containers[0].readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type"],
    ),
    "a liveness probe that must succeed twice": (
        {"containers": [a_container(livenessProbe={"tcpSocket": {"port": 1}, "successThreshold": 2})]},
        ["spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1"],
    ),
    "an init container with a probe": (
        {"initContainers": [a_container(name="i", readinessProbe={"tcpSocket": {"port": 1}})]},
        [
            "spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without "
            "restartPolicy=Always",
        ],
    ),
    "a volume of two kinds": (
        {"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/a"}}]},
        ["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"],
    ),
    "a host path that climbs": (
        {"volumes": [{"name": "v", "hostPath": {"path": "/a/../b"}}]},
        ["spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'"],
    ),
    "a file that climbs out of its volume": (
        {
            "volumes": [
                {"name": "v", "configMap": {"name": "c", "items": [{"key": "k", "path": "a/../../b"}]}}
            ]
        },
        ["spec.volumes[0].configMap.items[0].path: Invalid value: \"a/../../b\": must not contain '..'"],
    ),
    "a sub path from the root": (
        {
            "volumes": [{"name": "v"}],
            "containers": [a_container(volumeMounts=[{"name": "v", "mountPath": "/v", "subPath": "/etc"}])],
        },
        ['spec.containers[0].volumeMounts[0].subPath: Invalid value: "/etc": must be a relative path'],
    ),
    "an environment variable from two sources": (
        {
            "containers": [
                a_container(
                    env=[
                        {"name": "A", "value": "b", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
                    ]
                )
            ]
        },
        [
            'spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty'
        ],
    ),
    "a toleration without a key": (
        {"tolerations": [{"value": "a"}]},
        [
            'spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which '
            'means "match all values and all keys"',
        ],
    ),
    "no name server of its own": (
        {"dnsPolicy": "None"},
        ["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"],
    ),
}


@pytest.mark.parametrize(("spec", "expected"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_rule_is_told_in_kubernetes_words(spec: dict[str, Any], expected: list[str]) -> None:
    assert problems(a_pod(**spec)) == expected


def test_a_good_pod_has_no_problems() -> None:
    pod = a_pod(
        volumes=[{"name": "data"}, {"name": "keys", "secret": {"secretName": "keys"}}],
        containers=[
            a_container(
                env=[
                    {"name": "A", "value": "b"},
                    {"name": "B", "valueFrom": {"secretKeyRef": {"name": "k", "key": "a"}}},
                ],
                envFrom=[{"configMapRef": {"name": "c"}, "prefix": "X_"}],
                volumeMounts=[{"name": "data", "mountPath": "/data"}, {"name": "keys", "mountPath": "/keys"}],
                ports=[{"name": "http", "containerPort": 80}],
                readinessProbe={"httpGet": {"port": "http"}},
                resources={"limits": {"cpu": "1"}, "requests": {"cpu": "100m"}},
            )
        ],
        initContainers=[a_container(name="wait"), a_container(name="side", restartPolicy="Always")],
        tolerations=[{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}],
    )

    assert problems(pod) == []
    assert schema.violations(POD, pod) == []


def updates(old: Any, new: Any) -> list[str]:
    return [f"{one.field}: {one.message}" for one in POD.check_update(POD.defaults(old), POD.defaults(new))]


def test_a_pod_may_change_its_image_and_gain_a_node_and_tolerations() -> None:
    new = a_pod(
        nodeName="n1", tolerations=[{"operator": "Exists"}], containers=[a_container(image="shop/web:2")]
    )

    assert updates(a_pod(), new) == []


def test_a_pod_changes_neither_its_node_nor_its_command() -> None:
    assert updates(a_pod(nodeName="n1"), a_pod(nodeName="n2"))[0].startswith(
        "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`"
    )
    assert len(updates(a_pod(), a_pod(containers=[a_container(command=["a"])]))) == 1


def test_a_pod_becomes_no_mirror_and_a_mirror_stays_one() -> None:
    """A node deletes a mirror that it has no file for from the API, and ends none of its containers."""
    field, mirror = "metadata.annotations[kubernetes.io/config.mirror]: Forbidden", a_pod()
    mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "1"}
    other = a_pod()
    other["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "2"}

    assert updates(a_pod(), mirror) == [f"{field}: may not add mirror pod annotation"]
    assert updates(mirror, other) == [f"{field}: may not remove or update mirror pod annotation"]
    assert updates(mirror, a_pod()) == [f"{field}: may not remove or update mirror pod annotation"]
    assert updates(mirror, mirror) == []


def test_a_toleration_that_was_given_stays() -> None:
    assert updates(a_pod(tolerations=[{"operator": "Exists"}]), a_pod()) == [
        "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"
    ]


def test_a_deadline_may_only_come_nearer() -> None:
    assert updates(a_pod(activeDeadlineSeconds=10), a_pod(activeDeadlineSeconds=5)) == []
    assert updates(a_pod(activeDeadlineSeconds=5), a_pod(activeDeadlineSeconds=10)) == [
        "spec.activeDeadlineSeconds: Invalid value: 10: must be less than or equal to previous value (5)"
    ]


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        (
            {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1Gi"}},
            "Guaranteed",
        ),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
    ],
)
def test_the_class_of_service_follows_from_requests_and_limits(
    resources: dict[str, Any], expected: str
) -> None:
    assert qos_class(POD.defaults(a_pod(containers=[a_container(resources=resources)]))) == expected
