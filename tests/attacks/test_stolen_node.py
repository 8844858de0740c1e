"""A node's certificate in the wrong hands: what it can do is its own node, its own pods and what those need.

Source: Kubernetes, "Using Node Authorization" and "NodeRestriction"; each row is a verb on an object of another.
"""

from contextlib import aclosing
from typing import Any, Final

import pytest

from gitops.client import Client
from gitops.kinds import registry
from gitops.kinds.coordination import LEASE
from gitops.kinds.core.config import SECRET
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD
from gitops.kinds.errors import Forbidden, GitwardError, NotFound
from gitops.kinds.kind import Kind
from tests.integration.api.builders import a_node, but, pod_status
from tests.integration.master.whole import Site, Whole, config_map, manifest

CORE: Final = "/api/v1/namespaces/default"
APPS: Final = "/apis/apps/v1/namespaces/default"
LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces"
SOURCES: Final = "/apis/gitward.io/v1alpha1/gitsources"
NETWORK: Final = "/apis/networking.k8s.io/v1/namespaces/default"


def a_pod(name: str, node: str, secret: str) -> str:
    return f"""apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: default}}
spec:
  nodeName: {node}
  containers: [{{name: main, image: shop/web:1}}]
  volumes: [{{name: key, secret: {{secretName: {secret}}}}}]
"""


FILES: Final[dict[str, str | None]] = {
    "mine.yaml": a_pod("mine", "stolen", "mine"),
    "theirs.yaml": a_pod("theirs", "other", "theirs"),
    "keys.yaml": "---\n".join(
        manifest("Secret", name, key=f"canary-{name}") for name in ("mine", "theirs", "unused")
    ),
    "settings.yaml": config_map("settings"),
    "volume.yaml": """apiVersion: v1
kind: PersistentVolume
metadata: {name: theirs}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /data}}
""",
}

BODY: Final = {"metadata": {"labels": {"owned": "yes"}}}
NEW_POD: Final = {
    "metadata": {"name": "new"},
    "spec": {
        "nodeName": "stolen",
        "containers": [{"name": "c", "image": "i"}],
        "volumes": [{"name": "v", "secret": {"secretName": "theirs"}}],
    },
}
FAKE_REPLICA: Final = {  # Ready whenever the thief says so: a ReplicaSet would delete honest pods for it.
    "metadata": {
        "name": "fake",
        "labels": {"app": "web"},
        "annotations": {"kubernetes.io/config.mirror": "x"},
    },
    "spec": {"nodeName": "stolen", "containers": [{"name": "c", "image": "i"}]},
}

FORBIDDEN: Final = [
    # Secrets and ConfigMaps that no pod of its own needs, and all of them at once.
    ("GET", f"{CORE}/secrets/theirs", None),
    ("GET", f"{CORE}/secrets/unused", None),
    ("GET", f"{CORE}/secrets", None),
    ("GET", "/api/v1/secrets", None),
    ("GET", f"{CORE}/secrets?watch=true&resourceVersion=0", None),
    ("GET", f"{CORE}/secrets?fieldSelector=metadata.name%3Dtheirs", None),
    ("GET", "/api/v1/secrets?fieldSelector=metadata.name%3Dmine", None),
    ("GET", f"{CORE}/secrets?labelSelector=a", None),
    ("GET", "/api/v1/namespaces/kube-system/secrets/mine", None),
    ("GET", f"{CORE}/configmaps/settings", None),
    ("GET", "/api/v1/configmaps", None),
    # Writing what it may read.
    ("PUT", f"{CORE}/secrets/mine", BODY),
    ("PATCH", f"{CORE}/secrets/mine", BODY),
    ("DELETE", f"{CORE}/secrets/mine", None),
    ("POST", f"{CORE}/secrets", {"metadata": {"name": "new"}}),
    # Pods: neither made nor changed, and those of others not even seen.
    ("POST", f"{CORE}/pods", NEW_POD),
    ("POST", f"{CORE}/pods", FAKE_REPLICA),
    ("PUT", f"{CORE}/pods/mine", NEW_POD),
    ("PATCH", f"{CORE}/pods/mine", BODY),
    ("GET", f"{CORE}/pods", None),
    ("GET", "/api/v1/pods", None),
    ("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dother", None),
    ("GET", "/api/v1/pods?watch=true&fieldSelector=spec.nodeName%3Dother", None),
    ("GET", "/api/v1/pods?fieldSelector=spec.nodeName%21%3Dstolen", None),
    ("GET", f"{CORE}/pods/theirs", None),
    ("GET", f"{CORE}/pods/theirs/log", None),
    ("PUT", f"{CORE}/pods/theirs/status", {"metadata": {"name": "theirs"}, "status": {"phase": "Failed"}}),
    ("PATCH", f"{CORE}/pods/theirs/status", {"status": {"phase": "Failed"}}),
    ("DELETE", f"{CORE}/pods/theirs", None),
    ("POST", f"{CORE}/pods/mine/binding", {"target": {"name": "other"}}),
    ("POST", f"{CORE}/pods/mine/eviction", {}),
    ("POST", f"{CORE}/pods/mine/exec", None),
    # Other nodes, their leases, and its own end.
    ("PUT", "/api/v1/nodes/other", a_node("other")),
    ("PATCH", "/api/v1/nodes/other", BODY),
    ("PATCH", "/api/v1/nodes/other/status", {"status": {"conditions": []}}),
    ("DELETE", "/api/v1/nodes/other", None),
    ("DELETE", "/api/v1/nodes/stolen", None),
    ("POST", "/api/v1/nodes", a_node("third")),
    ("POST", f"{LEASES}/kube-node-lease/leases", {"metadata": {"name": "other"}}),
    ("POST", f"{LEASES}/default/leases", {"metadata": {"name": "stolen"}}),
    ("GET", f"{LEASES}/kube-node-lease/leases", None),
    # Volumes: none that is in use, or another node's.
    ("PATCH", "/api/v1/persistentvolumes/theirs", {"metadata": {"finalizers": []}}),
    ("DELETE", "/api/v1/persistentvolumes/theirs", None),
    ("POST", "/api/v1/persistentvolumes", {"metadata": {"name": "new"}}),
    ("GET", f"{CORE}/persistentvolumeclaims", None),
    # What git and the operator decide.
    ("POST", f"{APPS}/deployments", {"metadata": {"name": "new"}}),
    ("GET", f"{APPS}/deployments", None),
    ("GET", SOURCES, None),
    ("POST", f"{SOURCES}/shop/sync", None),
    ("PATCH", f"{SOURCES}/shop", {"spec": {"url": "file:///etc"}}),
    ("POST", f"{CORE}/services", {"metadata": {"name": "new"}, "spec": {"externalIPs": ["8.8.8.8"]}}),
    ("POST", f"{NETWORK}/ingresses", {"metadata": {"name": "new"}, "spec": {"tls": [{"secretName": "theirs"}]}}),
    ("POST", "/api/v1/namespaces", {"metadata": {"name": "new"}}),
    ("DELETE", "/api/v1/namespaces/default", None),
    ("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {"metadata": {"name": "new"}}),
]  # fmt: skip


async def refusal(client: Client, method: str, path: str, body: object, kind: str = "") -> GitwardError:
    kind = kind or ("application/merge-patch+json" if method == "PATCH" else "application/json")
    try:
        await client.request(method, path, body=body, content_type=kind)
    except GitwardError as error:
        return error
    raise AssertionError(f"{method} {path} was allowed")


def test_a_stolen_node_reaches_nothing_of_others(site: Site) -> None:
    async def story(whole: Whole) -> None:
        await whole.goes_live(FILES)
        async with whole.node("stolen") as thief, whole.node("other"):
            await whole.settled()
            before = whole.everything()

            for method, path, body in FORBIDDEN:
                error = await refusal(thief, method, path, body)
                assert isinstance(error, Forbidden | NotFound), f"{method} {path}: {error!r}"
                if "secrets" in path or method != "POST":
                    assert isinstance(error, Forbidden), f"{method} {path}: {error!r}"
                assert "canary" not in str(error)

            assert whole.everything() == before

    site.run(story)


def test_it_can_still_do_all_that_its_own_pods_need(site: Site) -> None:
    async def story(whole: Whole) -> None:
        await whole.goes_live(FILES)
        async with whole.node("stolen") as agent, whole.node("other"):
            pod: Any = await agent.get(POD, "default", "mine")
            assert (await agent.get(SECRET, "default", "mine"))["data"]["key"].reveal() == b"Y2FuYXJ5LW1pbmU="
            await agent.update_status(POD, but(pod, status=pod_status(ready=True)))
            await agent.create(LEASE, lease("stolen"))
            await agent.patch(NODE, "", "stolen", BODY, subresource="status")
            assert len((await agent.list(POD, field_selector="spec.nodeName=stolen")).items) == 1
            watch = agent.watch(POD, resource_version="0", field_selector="spec.nodeName=stolen")
            async with aclosing(watch) as events:
                first: Any = (await anext(events)).object
                assert first["metadata"]["name"] == "mine"

    site.run(story)


def lease(name: str) -> Any:
    spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": "2026-01-01T00:00:00.000000Z"}
    return {"apiVersion": LEASE.api_version, "kind": "Lease", "spec": spec,
            "metadata": {"name": name, "namespace": "kube-node-lease"}}  # fmt: skip


def test_what_it_says_of_its_own_pod_is_taken_and_what_it_says_beside_that_is_not(site: Site) -> None:
    async def story(whole: Whole) -> None:
        await whole.goes_live(FILES)
        async with whole.node("stolen") as thief, whole.node("other"):
            pod: Any = await thief.get(POD, "default", "mine")
            bent = {**pod["spec"], "nodeName": "other", "hostNetwork": True}
            meta = {**pod["metadata"], "labels": {"app": "other"}, "annotations": {"a": "b"},
                    "ownerReferences": [], "finalizers": ["stay/for-ever"]}  # fmt: skip

            await thief.update_status(POD, but(pod, metadata=meta, spec=bent, status=pod_status(ready=True)))

            found = whole.found(POD, "default", "mine")
            assert found["spec"] == pod["spec"]
            assert found["status"]["phase"] == "Running"
            server = ("managedFields", "resourceVersion")
            assert without(found["metadata"], server) == without(pod["metadata"], server)

    site.run(story)


APPLIED: Final = {
    "its own node": ("/api/v1/nodes/stolen", {"spec": {"taints": []}}),
    "the status of its own node": ("/api/v1/nodes/stolen/status", {"status": {}}),
    "its own lease": (f"{LEASES}/kube-node-lease/leases/stolen", {"metadata": {"labels": {"a": "b"}}}),
    "the status of its own pod": (f"{CORE}/pods/mine/status", {"metadata": {"labels": {"app": "other"}}}),
}


@pytest.mark.parametrize(("path", "body"), APPLIED.values(), ids=APPLIED.keys())
def test_nothing_is_applied_by_a_node(site: Site, path: str, body: dict[str, object]) -> None:
    """Else server-side apply would be a road around what it may not write of what it may write."""

    async def story(whole: Whole) -> None:
        await whole.goes_live(FILES)
        async with whole.node("stolen") as thief, whole.node("other"):
            await whole.settled()
            before = whole.everything()

            error = await refusal(
                thief, "PATCH", f"{path}?fieldManager=thief&force=true", body, "application/apply-patch+yaml"
            )

            assert isinstance(error, Forbidden)
            assert "server-side apply" in str(error)
            assert whole.everything() == before

    site.run(story)


def without(meta: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in meta.items() if name not in names}


CHANGES: Final = {
    "a label that attracts pods": (
        {"metadata": {"labels": {"node-restriction.kubernetes.io/safe": "yes"}}},
        "labels",
    ),
    "a role": ({"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}}, "labels"),
    "an owner that is not there": (
        {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "b"}]}},
        "owner references",
    ),
    "no taints any more": ({"spec": {"taints": None}}, "taints"),
    "another range": ({"spec": {"podCIDR": "10.77.99.0/24"}}, "range of its pods"),
    "the machine that bears its name": (
        {"metadata": {"annotations": {"gitward.io/machine": "another"}}},
        "choose the machine",
    ),
}


@pytest.mark.parametrize(("patch", "words"), CHANGES.values(), ids=CHANGES.keys())
def test_of_its_own_node_it_changes_nothing_that_others_rely_on(
    site: Site, patch: dict[str, object], words: str
) -> None:
    async def story(whole: Whole) -> None:
        async with whole.node("stolen") as thief:
            await whole.until(lambda: "podCIDR" in whole.found(NODE, "", "stolen")["spec"])
            await whole.settled()
            node = whole.found(NODE, "", "stolen")
            taint = {"key": "quarantine", "effect": "NoSchedule"}
            await whole.write({**node, "spec": {**node["spec"], "taints": [taint]}})
            await whole.settled()
            before = whole.found(NODE, "", "stolen")

            with pytest.raises(Forbidden, match=words):
                await thief.patch(NODE, "", "stolen", patch)

            assert whole.found(NODE, "", "stolen") == before
            labels = {"kubernetes.io/os": "linux", "example.com/rack": "7"}
            await thief.patch(NODE, "", "stolen", {"metadata": {"labels": labels}})
            assert whole.found(NODE, "", "stolen")["metadata"]["labels"]["example.com/rack"] == "7"

    site.run(story)


def test_absent_and_forbidden_give_one_answer(site: Site) -> None:
    """Else a node could try names until it knows which there are."""

    async def story(whole: Whole) -> None:
        await whole.goes_live(FILES)
        async with whole.node("stolen") as thief:
            for plural in ("secrets", "configmaps"):
                there = "theirs" if plural == "secrets" else "settings"
                known = await refusal(thief, "GET", f"{CORE}/{plural}/{there}", None)
                unknown = await refusal(thief, "GET", f"{CORE}/{plural}/nobody", None)
                assert str(known).replace(there, "nobody") == str(unknown)
                assert type(known) is type(unknown) is Forbidden

    site.run(story)


def test_every_kind_is_closed_to_a_node_unless_it_needs_it(site: Site) -> None:
    open_kinds = {
        *("services", "endpointslices", "ingresses", "ingressclasses", "namespaces", "nodes"),
        *("persistentvolumes", "runtimeclasses"),
    }

    async def story(whole: Whole) -> None:
        await whole.goes_live(FILES)
        async with whole.node("stolen") as thief:
            for kind in registry.ALL:
                if kind.plural not in open_kinds:
                    await is_closed(thief, kind)

    site.run(story)


async def is_closed(client: Client, kind: Kind[Any]) -> None:
    with pytest.raises(Forbidden):
        await client.list(kind)


def test_its_rights_end_with_its_pod(site: Site) -> None:
    async def story(whole: Whole) -> None:
        await whole.goes_live(FILES)
        async with whole.node("stolen") as thief:
            watch = thief.watch(SECRET, "default", resource_version="0", field_selector="metadata.name=mine")
            async with aclosing(watch) as events:
                assert (await anext(events)).type == "ADDED"
                site.repository.commit({"mine.yaml": None})
                await whole.look()
                await whole.until(
                    lambda: "deletionTimestamp" in whole.found(POD, "default", "mine")["metadata"]
                )
                await thief.delete(POD, "default", "mine", grace_seconds=0)
                live = whole.found(SECRET, "default", "mine")
                await whole.write({**live, "metadata": {**live["metadata"], "annotations": {"a": "b"}}})
                with pytest.raises(Forbidden):
                    await anext(events)
            with pytest.raises(Forbidden):
                await thief.get(SECRET, "default", "mine")

    site.run(story)
