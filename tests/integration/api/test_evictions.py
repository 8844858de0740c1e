"""Evictions as drains ask for them: the pod's disruption budget is asked first. With the real kubectl."""

import json
from typing import Any

import pytest

from gitops.client import Client
from gitops.kinds import registry
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD
from gitops.kinds.errors import GitwardError, Invalid
from tests.integration.api.builders import a_node, a_pod
from tests.integration.api.served import Served

BUDGET = registry.find("policy", "PodDisruptionBudget")
assert BUDGET is not None


def a_budget(
    allowed: int, *, name: str = "web", healthy: int = 2, desired: int = 2, observed: int = 1
) -> Any:
    status = {"disruptionsAllowed": allowed, "currentHealthy": healthy, "desiredHealthy": desired,
              "expectedPods": 2, "observedGeneration": observed}  # fmt: skip
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}},
        "status": status,
    }


def evict(api: Served, name: str = "web-1", **preconditions: str) -> None:
    options = {"preconditions": preconditions} if preconditions else {}
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": "default"},
        "deleteOptions": options,
    }

    async def asked() -> None:
        async with Client.from_kubeconfig(api.config_of()) as client:
            await client.request("POST", f"/api/v1/namespaces/default/pods/{name}/eviction", body=body)

    api.run(asked())


def web(name: str = "web-1", *, ready: bool = True) -> Any:
    return a_pod(name, node="n1", ready=ready, labels={"app": "web"})


def is_going(api: Served, name: str = "web-1") -> bool:
    pod = api.found(POD, "default", name)
    return pod is None or "deletionTimestamp" in pod["metadata"]


def test_a_pod_without_a_budget_is_deleted_and_says_why(api: Served) -> None:
    api.create(web())

    evict(api)

    pod = api.found(POD, "default", "web-1")
    assert is_going(api)
    told = next(one for one in pod["status"]["conditions"] if one["type"] == "DisruptionTarget")
    assert (told["status"], told["reason"]) == ("True", "EvictionByEvictionAPI")


def test_a_budget_pays_for_each_eviction_until_it_is_spent(api: Served) -> None:
    api.create(a_budget(1, healthy=3), web("web-1"), web("web-2"))

    evict(api, "web-1")
    with pytest.raises(
        GitwardError, match="Cannot evict pod as it would violate the pod's disruption budget"
    ):
        evict(api, "web-2")

    assert is_going(api, "web-1")
    assert not is_going(api, "web-2")
    status = api.found(BUDGET, "default", "web")["status"]  # type: ignore[arg-type] # Asserted above.
    assert status["disruptionsAllowed"] == 0
    assert list(status["disruptedPods"]) == ["web-1"]


def test_a_budget_that_was_not_looked_at_yet_allows_nothing(api: Served) -> None:
    api.create(a_budget(5, observed=0), web())

    with pytest.raises(GitwardError, match="still being processed"):
        evict(api)
    assert not is_going(api)


def test_two_budgets_for_one_pod_are_refused(api: Served) -> None:
    api.create(a_budget(5), a_budget(5, name="web-too"), web())

    with pytest.raises(GitwardError, match="more than one PodDisruptionBudget"):
        evict(api)


def test_an_unready_pod_costs_a_healthy_budget_nothing(api: Served) -> None:
    api.create(a_budget(0), web(ready=False))

    evict(api)

    assert is_going(api)


def test_an_unready_pod_of_an_unhealthy_budget_stays_unless_it_says_always(api: Served) -> None:
    api.create(a_budget(0, healthy=1), web(ready=False))
    with pytest.raises(GitwardError, match="needs 2 healthy pods and has 1 currently"):
        evict(api)

    api.kubectl(
        "patch", "pdb", "web", "-p", json.dumps({"spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}})
    )
    evict(api)

    assert is_going(api)


def test_another_pod_of_that_name_is_left_alone(api: Served) -> None:
    api.create(web())

    with pytest.raises(GitwardError, match="UID in the precondition"):
        evict(api, uid="another")
    assert not is_going(api)


def test_a_pod_that_has_changed_since_is_left_alone(api: Served) -> None:
    api.create(web())

    with pytest.raises(GitwardError, match="ResourceVersion in the precondition"):
        evict(api, resourceVersion="1")
    assert not is_going(api)


def test_a_dry_run_that_is_none_is_refused(api: Served) -> None:
    api.create(web())

    async def asked() -> None:
        async with Client.from_kubeconfig(api.config_of()) as client:
            path = "/api/v1/namespaces/default/pods/web-1/eviction"
            await client.request("POST", path, params={"dryRun": "some"}, body={})

    with pytest.raises(Invalid, match="dryRun"):
        api.run(asked())


def test_kubectl_cordons_drains_and_uncordons(api: Served) -> None:
    """Pods end at once here: nobody runs them, so their node's word is given by hand."""
    api.create(a_node("n1"), web("web-1"))

    api.kubectl("cordon", "n1")
    assert api.found(NODE, "", "n1")["spec"]["unschedulable"] is True
    said = api.kubectl("drain", "n1", "--force", "--grace-period=0", "--timeout=20s", both=True)
    assert "node/n1 drained" in said
    assert is_going(api)
    api.kubectl("uncordon", "n1")
    assert not api.found(NODE, "", "n1")["spec"].get("unschedulable")


def test_a_pod_that_git_states_can_be_drained_though_not_deleted(api: Served) -> None:
    """A drain would never end otherwise; apply makes the pod again, and its node is cordoned by then."""
    api.create(a_node("n1"), web("web-1"))
    claim = {
        "source": "shop",
        "app": "shop",
        "commit": "a" * 40,
        "file": "web.yaml",
        "line": 1,
        "state": "declared",
    }
    api.declare(web("web-1"), claim)

    refused = api.kubectl("delete", "pod", "web-1", fails=True)
    assert "web.yaml:1" in refused
    assert not is_going(api)
    said = api.kubectl("drain", "n1", "--force", "--grace-period=0", "--timeout=20s", both=True)

    assert "node/n1 drained" in said
    assert is_going(api)


def test_kubectl_drain_waits_for_a_budget_that_is_spent(api: Served) -> None:
    api.create(a_node("n1"), a_budget(0), web("web-1"))

    said = api.kubectl("drain", "n1", "--force", "--timeout=2s", fails=True)

    assert "Cannot evict pod as it would violate the pod's disruption budget" in said
    assert not is_going(api)
