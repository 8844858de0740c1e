"""What the subresources of a pod that write a part of it take, and what they refuse."""

from typing import Any

import pytest

from gitops.kinds.core.pod import POD
from gitops.kinds.errors import Invalid
from gitops.kinds.objects import timestamp
from tests.unit.admission.builders import NOW, World

APP = {
    "name": "app",
    "image": "shop:1",
    "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
}
DEBUGGER = {"name": "debugger", "image": "busybox:1", "targetContainerName": "app"}


def a_pod(**spec: Any) -> Any:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"containers": [APP], **spec},
    }


def changed(subresource: str, **spec: Any) -> Any:
    """A pod after a write of this subresource, whose body has these fields."""
    world = World()
    stored: Any = world.create(POD, a_pod())
    return world.update(POD, {**stored, "spec": {**stored["spec"], **spec}}, subresource=subresource)


def with_resources(**resources: Any) -> dict[str, Any]:
    return {"containers": [{**APP, "resources": resources}]}


def test_when_a_pod_became_ready_is_told_by_our_clock() -> None:
    def told(world: World, stored: Any, status: str, time: str) -> Any:
        ready = {"type": "Ready", "status": status, "lastTransitionTime": time}
        body = {**stored, "status": {"phase": "Running", "conditions": [ready]}}
        return world.update(POD, body, subresource="status")

    def since(obj: Any) -> str:
        return str(obj["status"]["conditions"][0]["lastTransitionTime"])

    world, wrong = World(), "2031-01-01T00:00:00Z"
    first = told(world, world.create(POD, a_pod()), "True", wrong)
    world.put({**first, "status": {**first["status"], "conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}})  # fmt: skip
    again = told(world, first, "True", wrong)
    turned = told(world, again, "False", wrong)

    assert [since(one) for one in (first, again, turned)] == [
        timestamp(NOW),
        "2026-01-01T00:00:00Z",
        timestamp(NOW),
    ]


def test_an_ephemeral_container_is_added_and_nothing_else_changes() -> None:
    pod = changed("ephemeralcontainers", ephemeralContainers=[DEBUGGER], hostname="other")

    assert [one["name"] for one in pod["spec"]["ephemeralContainers"]] == ["debugger"]
    assert pod["spec"]["ephemeralContainers"][0]["imagePullPolicy"] == "IfNotPresent"
    assert "hostname" not in pod["spec"]
    assert pod["metadata"]["generation"] == 2


@pytest.mark.parametrize(
    ("added", "words"),
    [
        ({"targetContainerName": "none"}, 'targetContainerName: Not found: "none"'),
        ({"ports": [{"containerPort": 80}]}, "ports: Forbidden: cannot be set for an Ephemeral Container"),
        ({"name": "app", "targetContainerName": ""}, 'name: Duplicate value: "app"'),
        ({"resources": {"limits": {"cpu": "1"}}}, "resources: Forbidden: cannot be set for an Ephemeral"),
    ],
)
def test_what_an_ephemeral_container_may_not_be(added: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid) as refused:
        changed("ephemeralcontainers", ephemeralContainers=[{**DEBUGGER, **added}])
    assert words in str(refused.value)


def test_an_ephemeral_container_is_neither_changed_nor_removed() -> None:
    world = World()
    stored: Any = world.create(POD, a_pod())
    there: Any = world.update(
        POD,
        {**stored, "spec": {**stored["spec"], "ephemeralContainers": [DEBUGGER]}},
        subresource="ephemeralcontainers",
    )
    for after, words in (
        ([], "may not be removed"),
        ([{**DEBUGGER, "image": "busybox:2"}], "may not be changed"),
    ):
        with pytest.raises(Invalid) as refused:
            world.update(
                POD,
                {**there, "spec": {**there["spec"], "ephemeralContainers": after}},
                subresource="ephemeralcontainers",
            )
        assert f"existing ephemeral containers 'debugger' {words}" in str(refused.value)


def test_no_pod_is_created_with_an_ephemeral_container_nor_gets_one_by_the_main_road() -> None:
    with pytest.raises(Invalid, match="Forbidden: cannot be set on create"):
        World().create(POD, a_pod(ephemeralContainers=[DEBUGGER]))
    world = World()
    stored: Any = world.create(POD, a_pod())
    with pytest.raises(Invalid, match="pod updates may not change fields other than"):
        world.update(POD, {**stored, "spec": {**stored["spec"], "ephemeralContainers": [DEBUGGER]}})


def test_a_resize_changes_resources_alone() -> None:
    wanted = with_resources(requests={"cpu": "200m", "memory": "64Mi"}, limits={"memory": "256Mi"})
    wanted["containers"][0]["image"] = "shop:2"

    container = changed("resize", **wanted)["spec"]["containers"][0]

    assert container["image"] == "shop:1"
    assert container["resources"] == {
        "requests": {"cpu": "200m", "memory": "64Mi"},
        "limits": {"memory": "256Mi"},
    }


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        (
            {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
            "Pod QOS Class may not change as a result of resizing",
        ),
        ({"requests": {"cpu": "100m", "memory": "64Mi"}}, "resource limits cannot be removed"),
        (
            {
                "requests": {"cpu": "100m", "memory": "64Mi", "ephemeral-storage": "1Gi"},
                "limits": {"memory": "128Mi"},
            },
            "only cpu and memory resources are mutable",
        ),
        (
            {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"memory": "128Mi"}},
            "must be less than or equal to memory limit of 128Mi",
        ),
    ],
)
def test_what_no_resize_may_do(resources: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid) as refused:
        changed("resize", **with_resources(**resources))
    assert words in str(refused.value)
