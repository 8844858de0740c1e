"""What Kubernetes warns of in a pod that is valid, in its words."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.kinds import schema
from gitops.kinds.apps import DEPLOYMENT
from gitops.kinds.core.pod import POD
from tests.unit.kinds.objects import Json, a_container, a_deployment, a_pod

words = st.sampled_from(
    ["containers", "env", "name", "ports", "resources", "limits", "memory", "200m", "spec", "x"]
)
json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
)
C0 = "spec.containers[0]"
C1 = "spec.containers[1]"
HIDES = 'hides previous definition of "A", which may be dropped when using apply'


def pod_of(*containers: dict[str, Any]) -> Json:
    return a_pod(containers=[a_container(**{"name": f"c{at}", **one}) for at, one in enumerate(containers)])


@pytest.mark.parametrize(
    ("pod", "told"),
    [
        (pod_of({"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}), [f"{C0}.env[1]: {HIDES}"]),
        (
            pod_of({"resources": {"limits": {"memory": "200m", "cpu": "200m"}, "requests": {"memory": "64Mi"}}}),
            [f'{C0}.resources.limits[memory]: fractional byte value "200m" is invalid, must be an integer'],
        ),
        (
            pod_of(*({"ports": [{"name": "http", "containerPort": port}]} for port in (80, 81))),
            [
                f'{C1}.ports[0]: duplicate port name "http" with {C0}.ports[0], services and probes that select ports '
                f"by name will use {C0}.ports[0]"
            ],
        ),
        (
            a_pod(meta={"annotations": {"seccomp.security.alpha.kubernetes.io/pod": "runtime/default"}}),
            [
                "metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]: non-functional in v1.27+; use the "
                '"seccompProfile" field instead'
            ],
        ),
        (
            a_pod(meta={"annotations": {"container.apparmor.security.beta.kubernetes.io/web": "localhost/x"}}),
            [
                "metadata.annotations[container.apparmor.security.beta.kubernetes.io/web]: deprecated since v1.30; use "
                'the "appArmorProfile" field instead'
            ],
        ),
        (
            a_pod(nodeSelector={"beta.kubernetes.io/os": "linux", "disk": "ssd"}),
            ['spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead'],
        ),
        (pod_of({"env": [{"name": "A", "value": "1"}], "ports": [{"containerPort": 80}]}), []),
    ],
)  # fmt: skip
def test_a_pod_is_warned_of(pod: Json, told: list[str]) -> None:
    assert schema.warnings(POD, pod) == told


def test_the_pods_of_a_deployment_are_warned_of_in_its_template() -> None:
    container = a_container(resources={"requests": {"memory": "100m"}})
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}

    assert schema.warnings(DEPLOYMENT, a_deployment(template=template)) == [
        "spec.template.spec.containers[0].resources.requests[memory]: fractional byte value "
        '"100m" is invalid, must be an integer'
    ]


@given(json_like)
def test_whatever_was_written_does_no_harm(spec: Json) -> None:
    """Server-side apply takes parts of an object, and what is no pod is told by others."""
    pod: Json = {"spec": spec}
    deployment: Json = {"spec": {"template": spec}}

    for found in (schema.warnings(POD, pod), schema.warnings(DEPLOYMENT, deployment)):
        assert all(isinstance(one, str) for one in found)
