"""Real kubectl writes to a real server: what people type where git says nothing, and what git keeps for itself."""

import json
from pathlib import Path
from typing import Any

import pytest

from gitops.kinds.apps import DEPLOYMENT
from gitops.kinds.core.config import CONFIG_MAP, SECRET
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD
from tests.integration.api.builders import Json, a_deployment, a_node, a_pod
from tests.integration.api.served import Served

CLAIM = {
    "source": "shop",
    "app": "shop",
    "commit": "3f2c1ab" + "0" * 33,
    "file": "apps/web.yaml",
    "line": 7,
    "state": "declared",
}
WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - {name: main, image: "shop/web:1", env: [{name: A, value: "1"}, {name: B, value: "2"}]}
"""


def a_file(api: Served, text: str, name: str = "web.yaml") -> str:
    path: Path = api.folder / name
    path.write_text(text)
    return str(path)


def managers(obj: Json) -> set[tuple[str, str]]:
    return {(one["manager"], one["operation"]) for one in obj["metadata"].get("managedFields", ())}


def web(api: Served) -> Any:
    return api.found(DEPLOYMENT, "default", "web")


def container(api: Served) -> Any:
    return web(api)["spec"]["template"]["spec"]["containers"][0]


def test_apply_creates_changes_and_removes_fields(api: Served) -> None:
    assert "created" in api.kubectl("apply", "-f", a_file(api, WEB))
    assert managers(web(api)) == {("kubectl-client-side-apply", "Update")}
    assert "unchanged" in api.kubectl("apply", "-f", a_file(api, WEB))

    changed = WEB.replace("shop/web:1", "shop/web:2").replace('{name: A, value: "1"}, ', "")
    assert "configured" in api.kubectl("apply", "-f", a_file(api, changed))

    assert container(api)["image"] == "shop/web:2"
    assert container(api)["env"] == [{"name": "B", "value": "2"}]


def test_server_side_apply_shares_takes_and_refuses_fields(api: Served) -> None:
    apply = ("apply", "--server-side", "-f")
    assert "serverside-applied" in api.kubectl(*apply, a_file(api, WEB))
    assert managers(web(api)) == {("kubectl", "Apply")}
    version = web(api)["metadata"]["resourceVersion"]
    api.kubectl(*apply, a_file(api, WEB))
    assert web(api)["metadata"]["resourceVersion"] == version

    other = a_file(api, WEB.replace("shop/web:1", "shop/web:9"), "other.yaml")
    refused = api.kubectl(*apply, other, "--field-manager=robot", fails=True)
    assert 'Apply failed with 1 conflict: conflict with "kubectl": ' in refused
    assert '.spec.template.spec.containers[name="main"].image' in refused
    api.kubectl(*apply, other, "--field-manager=robot", "--force-conflicts")
    assert container(api)["image"] == "shop/web:9"


def test_everyday_changes(api: Served) -> None:
    api.kubectl("apply", "-f", a_file(api, WEB))

    api.kubectl("set", "image", "deploy/web", "main=shop/web:3")
    api.kubectl("scale", "deploy/web", "--replicas=4")
    api.kubectl("label", "deploy/web", "team=a")
    api.kubectl("annotate", "deploy/web", "note=b")
    api.kubectl("rollout", "restart", "deploy/web")
    api.kubectl("patch", "deploy/web", "-p", '{"spec":{"minReadySeconds":3}}')
    api.kubectl("patch", "deploy/web", "--type=merge", "-p", '{"spec":{"paused":true}}')
    api.kubectl(
        "patch", "deploy/web", "--type=json", "-p", '[{"op":"replace","path":"/spec/replicas","value":5}]'
    )

    spec = web(api)["spec"]
    assert container(api)["image"] == "shop/web:3"
    assert (spec["replicas"], spec["minReadySeconds"], spec["paused"]) == (5, 3, True)
    assert web(api)["metadata"]["labels"] == {"team": "a"}
    assert web(api)["metadata"]["annotations"]["note"] == "b"
    assert "kubectl.kubernetes.io/restartedAt" in spec["template"]["metadata"]["annotations"]
    assert web(api)["metadata"]["generation"] == 8  # Annotations count for a Deployment, labels do not.


def test_edit_replace_and_diff(api: Served) -> None:
    api.kubectl("create", "-f", a_file(api, WEB))
    assert managers(web(api)) == {("kubectl-create", "Update")}

    api.kubectl("edit", "deploy/web", KUBE_EDITOR="sed -i s/web:1/web:7/")
    assert container(api)["image"] == "shop/web:7"
    api.kubectl("replace", "-f", a_file(api, WEB))
    assert container(api)["image"] == "shop/web:1"
    changed = a_file(api, WEB.replace("shop/web:1", "shop/web:2"))
    assert "+        image: shop/web:2" in api.kubectl("diff", "-f", changed, fails=True, both=True)
    assert container(api)["image"] == "shop/web:1"


def test_scale_answers_with_a_scale_and_obeys_its_precondition(api: Served) -> None:
    api.create(a_deployment("web", replicas=2))

    scale = json.loads(api.kubectl("get", "--raw", "/apis/apps/v1/namespaces/default/deployments/web/scale"))
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert scale["spec"] == {"replicas": 2}
    assert scale["status"] == {"replicas": 2, "selector": "app=web"}
    assert "Expected replicas to be 3" in api.kubectl(
        "scale", "deploy/web", "--current-replicas=3", "--replicas=5", fails=True
    )
    api.kubectl("scale", "deploy/web", "--current-replicas=2", "--replicas=5")
    assert web(api)["spec"]["replicas"] == 5
    entry = web(api)["metadata"]["managedFields"][-1]
    assert (entry["manager"], entry["subresource"]) == ("kubectl", "scale")
    assert "must be greater than or equal to 0" in api.kubectl(
        "patch",
        "deploy/web",
        "--subresource=scale",
        "--type=merge",
        "-p",
        '{"spec":{"replicas":-1}}',
        fails=True,
    )


STATED_WRITES = {
    "scale": ("scale", "deploy/web", "--replicas=9"),
    "set image": ("set", "image", "deploy/web", "main=shop/web:9"),
    "merge patch": ("patch", "deploy/web", "--type=merge", "-p", '{"spec":{"replicas":9}}'),
    "a removal": ("patch", "deploy/web", "--type=json", "-p", '[{"op":"remove","path":"/spec/replicas"}]'),
    "delete": ("delete", "deploy/web"),
    "deletecollection": ("delete", "--raw", "/apis/apps/v1/namespaces/default/deployments"),
}


@pytest.mark.parametrize("command", STATED_WRITES.values(), ids=STATED_WRITES.keys())
def test_what_git_states_is_refused_with_file_and_line(api: Served, command: tuple[str, ...]) -> None:
    api.create(a_deployment("web", replicas=2))
    api.declare(a_deployment("web", replicas=2), CLAIM)
    before = web(api)

    refused = api.kubectl(*command, fails=True)

    assert "Forbidden" in refused or "forbidden" in refused
    assert "source shop declares it at apps/web.yaml:7: change it there" in refused
    assert web(api) == before


def test_no_force_takes_what_git_states(api: Served) -> None:
    api.create(a_deployment("web", replicas=2))
    api.declare(a_deployment("web", replicas=2), CLAIM)
    path = a_file(api, WEB.replace("shop/web:1", "shop/web:9"))

    for more in ((), ("--force-conflicts",), ("--dry-run=server", "--force-conflicts")):
        assert "apps/web.yaml:7" in api.kubectl("apply", "--server-side", "-f", path, *more, fails=True)


def test_what_git_leaves_out_is_anyones(api: Served) -> None:
    stated = a_deployment("web")
    del stated["spec"]["replicas"]
    api.create(stated)
    api.declare(stated, CLAIM)

    api.kubectl("scale", "deploy/web", "--replicas=4")
    api.kubectl("label", "deploy/web", "team=a")
    api.kubectl("rollout", "restart", "deploy/web")

    assert web(api)["spec"]["replicas"] == 4
    assert web(api)["metadata"]["labels"] == {"team": "a"}


def test_a_declared_object_is_not_created_by_hand_before_git_does(api: Served) -> None:
    api.declare(a_deployment("web"), CLAIM)

    refused = api.kubectl("create", "-f", a_file(api, WEB), fails=True)

    assert "source shop declares it at apps/web.yaml:7: it will come from there" in refused


def test_a_namespace_of_git_takes_nothing_else(api: Served) -> None:
    pod = a_pod("made")
    pod["metadata"]["ownerReferences"] = [
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u", "controller": True}
    ]
    api.create(pod, a_deployment("web"))
    api.kubectl("label", "namespace", "default", "gitward.io/managed-by=git")

    for command in (
        ("create", "-f", a_file(api, WEB.replace("name: web}", "name: other}"))),
        ("scale", "deploy/web", "--replicas=9"),
        ("label", "deploy/web", "team=a"),
        ("delete", "deploy/web"),
    ):
        assert "takes only what git declares" in api.kubectl(*command, fails=True)
    api.kubectl("delete", "pod", "made")
    assert api.found(POD, "default", "made") is None
    api.kubectl("label", "namespace", "default", "gitward.io/managed-by-")
    api.kubectl("delete", "deploy/web")


def test_an_unknown_or_repeated_field_is_an_error_a_warning_or_nothing(api: Served) -> None:
    text = WEB.replace("spec:\n  selector", "spec:\n  replica: 3\n  selector")
    path = a_file(api, text)

    strict = api.kubectl("create", "-f", path, fails=True)
    assert 'strict decoding error: unknown field "spec.replica"' in strict
    told = api.kubectl("create", "-f", path, "--validate=warn", "--dry-run=server", both=True)
    assert 'Warning: unknown field "spec.replica"' in told
    assert "Warning" not in api.kubectl("create", "-f", path, "--validate=ignore", both=True)
    assert "replica" not in web(api)["spec"]
    twice = json.dumps(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "1"}}
    )
    twice = twice.replace('"a": "1"', '"a": "1", "a": "2"')
    refused = api.kubectl(
        "create", "--raw", "/api/v1/namespaces/default/configmaps?fieldValidation=Strict", "-f",
        a_file(api, twice, "twice.json"), fails=True,
    )  # fmt: skip
    assert 'duplicate field "data.a"' in refused


def test_a_field_that_is_not_acted_on_yet_is_warned_of_once(api: Served) -> None:
    text = WEB.replace("    spec:\n", "    spec:\n      resourceClaims: [{name: gpu}]\n")

    told = api.kubectl("create", "-f", a_file(api, text), both=True)

    assert "is not acted on yet" in told
    assert "not acted on" not in api.kubectl("annotate", "deploy/web", "a=b", both=True)


def test_a_dry_run_changes_nothing(api: Served) -> None:
    api.create(a_deployment("web", replicas=2))
    before = web(api)

    api.kubectl("scale", "deploy/web", "--replicas=5", "--dry-run=server")
    api.kubectl("delete", "deploy/web", "--dry-run=server")
    api.kubectl("create", "-f", a_file(api, WEB.replace("name: web}", "name: other}")), "--dry-run=server")
    shown = api.kubectl(
        "label", "deploy/web", "a=b", "--dry-run=server", "-o", "jsonpath={.metadata.labels.a}"
    )

    assert shown == "b"
    assert web(api) == before
    assert api.found(DEPLOYMENT, "default", "other") is None


def test_cordon_and_taint(api: Served) -> None:
    api.create(a_node("n1"))

    api.kubectl("cordon", "n1")
    api.kubectl("taint", "node", "n1", "a=b:NoSchedule")
    assert api.found(NODE, "", "n1")["spec"]["unschedulable"] is True
    assert [one["key"] for one in api.found(NODE, "", "n1")["spec"]["taints"]] == ["a"]

    api.kubectl("uncordon", "n1")
    assert "unschedulable" not in api.found(NODE, "", "n1")["spec"]


def test_secrets_and_config_maps_are_made_and_changed(api: Served) -> None:
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: hunter2}\n"
    api.kubectl("apply", "-f", a_file(api, text, "s.yaml"))
    api.kubectl("patch", "secret", "s", "-p", '{"data":{"b":"Yg=="}}')
    api.kubectl(
        "apply",
        "--server-side",
        "--field-manager=robot",
        "-f",
        a_file(api, text.replace("name: s", "name: t"), "t.yaml"),
    )

    assert api.found(SECRET, "default", "s")["data"]["a"].reveal() == b"aHVudGVyMg=="
    assert api.kubectl("get", "secret", "s", "-o", "jsonpath={.data}") == '{"a":"aHVudGVyMg==","b":"Yg=="}'
    assert api.found(SECRET, "default", "t")["data"]["a"].reveal() == b"aHVudGVyMg=="
    api.kubectl(
        "create",
        "-f",
        a_file(api, "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: c-}\n", "c.yaml"),
    )
    assert len(list(api.store.view().list(CONFIG_MAP, "default"))) == 1


def test_deleting_asks_for_what_becomes_of_dependents(api: Served) -> None:
    api.create(a_deployment("web"), a_deployment("api"), a_deployment("db"))

    api.kubectl("delete", "deploy/web", "--cascade=foreground", "--wait=false")
    api.kubectl("delete", "deploy/api", "--cascade=orphan", "--wait=false")
    api.kubectl("delete", "deploy/db")

    assert web(api)["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert api.found(DEPLOYMENT, "default", "api")["metadata"]["finalizers"] == ["orphan"]
    assert api.found(DEPLOYMENT, "default", "db") is None
    api.kubectl("patch", "deploy/web", "--type=json", "-p", '[{"op":"remove","path":"/metadata/finalizers"}]')
    assert web(api) is None


def test_a_collection_is_deleted_by_selector(api: Served) -> None:
    api.create(a_pod("a", labels={"app": "web"}), a_pod("b", labels={"app": "web"}), a_pod("c"))

    api.kubectl("delete", "--raw", "/api/v1/namespaces/default/pods?labelSelector=app%3Dweb")

    assert [pod["metadata"]["name"] for pod in api.store.view().list(POD, "default")] == ["c"]
