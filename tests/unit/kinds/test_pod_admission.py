"""AppArmor profiles that pods name in annotations become the fields that confine."""

from typing import Any

import pytest

from gitops.kinds.core.pod_admission import completed_pod
from tests.unit.kinds.objects import Json, a_container, a_pod

PREFIX = "container.apparmor.security.beta.kubernetes.io/"


def contexts(pod: Json) -> list[Any]:
    spec: Json = completed_pod(pod)["spec"]
    return [one.get("securityContext") for one in (*spec.get("initContainers", ()), *spec["containers"])]


@pytest.mark.parametrize(
    ("text", "profile"),
    [
        ("runtime/default", {"type": "RuntimeDefault"}),
        ("unconfined", {"type": "Unconfined"}),
        ("localhost/deny-write", {"type": "Localhost", "localhostProfile": "deny-write"}),
    ],
)
def test_an_annotation_confines_its_container_alone(text: str, profile: dict[str, str]) -> None:
    pod = a_pod(
        meta={"annotations": {f"{PREFIX}web": text}},
        initContainers=[a_container(name="first")],
        containers=[a_container(securityContext={"runAsUser": 1}), a_container(name="other")],
    )

    assert contexts(pod) == [None, {"runAsUser": 1, "appArmorProfile": profile}, None]


def test_a_field_that_is_stated_counts_more() -> None:
    stated = {"appArmorProfile": {"type": "RuntimeDefault"}}
    pod = a_pod(
        meta={"annotations": {f"{PREFIX}web": "localhost/x"}},
        containers=[a_container(securityContext=stated)],
    )

    assert contexts(pod) == [stated]


@pytest.mark.parametrize(
    "annotations", [{}, {f"{PREFIX}web": "nonsense"}, {f"{PREFIX}nobody": "localhost/x"}]
)
def test_what_names_no_profile_or_no_container_changes_nothing(annotations: dict[str, str]) -> None:
    assert contexts(a_pod(meta={"annotations": annotations})) == [None]
