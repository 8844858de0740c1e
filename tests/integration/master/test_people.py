"""People, git and everyone else write one cluster: a whole master between a real repository and real kubectl."""

import asyncio
import subprocess
from ipaddress import IPv4Network
from time import monotonic
from typing import Any

import pytest

from gitops.admission import admit_update
from gitops.kinds.apps import DEPLOYMENT, REPLICA_SET
from gitops.kinds.core.config import CONFIG_MAP
from gitops.kinds.core.event import EVENT
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD
from gitops.kinds.core.service import SERVICE
from gitops.kinds.errors import Forbidden
from gitops.kinds.gitward import DECLARED, declared_key
from gitops.kinds.kind import Kind
from gitops.kinds.objects import with_meta
from gitops.reconcile import Reader
from gitops.store.contract import Put, Txn
from tests.integration.master.whole import Site, Whole, config_map, deployment
from tests.tools.kubectl import kubectl as kubectl_binary

WITHOUT_REPLICAS = deployment("web").replace("  replicas: 1\n", "")


async def kubectl(whole: Whole, *arguments: str, fails: bool = False) -> str:
    command = (str(kubectl_binary()), f"--kubeconfig={whole.data / 'admin.kubeconfig'}",
               f"--cache-dir={whole.data / 'cache'}", *arguments)  # fmt: skip
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stderr if fails else done.stdout


async def drift(whole: Whole, kind: Kind[Any], name: str, change: dict[str, Any], manager: str) -> None:
    """As a controller or an agent writes: through admission, past what people may not."""

    def build(reader: Reader) -> Txn:
        old: Any = reader.object(kind.key("default", name))
        new = {**old, **{field: {**old[field], **value} for field, value in change.items()}}
        put = admit_update(reader, kind, old, new, now=whole.master._clock.now(), manager=manager)
        return Txn((Put(put),), manager, "test")

    await whole.store.transact(build)


def events(whole: Whole, reason: str) -> list[str]:
    found = whole.store.view().list(EVENT, "default")
    return [event.get("message", "") for event in found if event.get("reason") == reason]


def record(whole: Whole, kind: Kind[Any], name: str) -> Any:
    return whole.store.view().get(DECLARED, declared_key(kind.key("default", name)))


def test_a_scale_of_what_states_no_replicas_holds_over_commits(site: Site) -> None:
    async def story(whole: Whole) -> None:
        await whole.goes_live({"web.yaml": WITHOUT_REPLICAS})
        await kubectl(whole, "scale", "deploy/web", "--replicas=3")
        await whole.until(lambda: len(whole.names(POD, "default")) == 3)

        await whole.goes_live({"web.yaml": WITHOUT_REPLICAS.replace("shop/web:1", "shop/web:2")})
        await whole.goes_live({"other.yaml": config_map("a")})

        assert whole.found(DEPLOYMENT, "default", "web")["spec"]["replicas"] == 3
        await whole.goes_live({"web.yaml": deployment("web", replicas=2)})
        assert whole.found(DEPLOYMENT, "default", "web")["spec"]["replicas"] == 2
        refused = await kubectl(whole, "scale", "deploy/web", "--replicas=5", fails=True)
        assert ".spec.replicas: source shop declares it at web.yaml:1: change it there" in refused
        await whole.goes_live({"web.yaml": None})
        assert whole.found(DEPLOYMENT, "default", "web") is None

    site.run(story)


def test_a_field_that_people_took_over_before_git_let_go_of_it_stays(site: Site) -> None:
    labelled = config_map("a").replace("name: a", "name: a\n  labels: {team: a}")

    async def story(whole: Whole) -> None:
        await whole.goes_live({"a.yaml": labelled})
        applied = (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default, labels: {team: a}}\n"
        )
        (whole.data / "mine.yaml").write_text(applied)
        await kubectl(whole, "apply", "--server-side", "-f", str(whole.data / "mine.yaml"))

        await whole.goes_live({"a.yaml": config_map("a")})

        assert whole.found(CONFIG_MAP, "default", "a")["metadata"]["labels"] == {"team": "a"}

    site.run(story)


def test_drift_by_a_controller_is_put_back_within_a_second_with_its_name(site: Site) -> None:
    async def story(whole: Whole) -> None:
        await whole.goes_live({"web.yaml": deployment("web", replicas=2)})

        await drift(whole, DEPLOYMENT, "web", {"spec": {"replicas": 7}}, "autoscaler")
        begin = monotonic()
        await whole.until(lambda: whole.found(DEPLOYMENT, "default", "web")["spec"]["replicas"] == 2)

        assert monotonic() - begin < 1
        await whole.until(lambda: events(whole, "DriftCorrected"))
        assert events(whole, "DriftCorrected") == [
            "put back .spec.replicas (changed by autoscaler): web.yaml:1 of source shop states otherwise"
        ]
        assert "autoscaler" not in str(whole.found(DEPLOYMENT, "default", "web")["metadata"])

    site.run(story)


def test_an_agent_that_changes_what_git_states_of_its_node_is_put_back_and_named(site: Site) -> None:
    node = "apiVersion: v1\nkind: Node\nmetadata: {name: n1, labels: {zone: a}}\n"

    async def story(whole: Whole) -> None:
        async with whole.node("n1") as agent:
            await whole.goes_live({"n1.yaml": node})
            found = whole.found(NODE, "", "n1")

            await agent.update(NODE, with_meta(found, labels={"zone": "b"}, resourceVersion=None))
            await whole.until(lambda: whole.found(NODE, "", "n1")["metadata"]["labels"]["zone"] == "a")

            await whole.until(lambda: events(whole, "DriftCorrected"))
            (message,) = events(whole, "DriftCorrected")
            assert message.startswith("put back .metadata.labels.zone (changed by gitward")

    site.run(story)


def test_whole_objects_that_git_does_not_declare_are_peoples(site: Site) -> None:
    async def story(whole: Whole) -> None:
        await whole.goes_live({"a.yaml": config_map("a")})
        (whole.data / "mine.yaml").write_text(deployment("mine", replicas=2))

        await kubectl(whole, "create", "-f", str(whole.data / "mine.yaml"))
        await whole.until(lambda: len(whole.names(POD, "default")) == 2)
        await whole.goes_live({"a.yaml": config_map("a", "two")})
        assert whole.found(DEPLOYMENT, "default", "mine") is not None
        await kubectl(whole, "delete", "deploy/mine")
        await whole.until(lambda: whole.names(POD, "default") == [])

    site.run(story)


def test_a_service_of_a_person_gets_an_address_of_the_cluster(site: Site) -> None:
    """The API must know the cluster's own range, not the default one."""
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}]}\n"

    async def story(whole: Whole) -> None:
        (whole.data / "s.yaml").write_text(service)
        await kubectl(whole, "create", "-f", str(whole.data / "s.yaml"))
        assert whole.found(SERVICE, "default", "s")["spec"]["clusterIP"].startswith("10.99.0.")

    site.service_cidr = IPv4Network("10.99.0.0/24")
    site.run(story)


def test_settings_are_live_before_the_pods_of_their_commit(site: Site) -> None:
    """Whatever the files are called: the pods are made by whoever sees the new settings."""
    web = deployment("web", image="shop/web:2").replace(
        "image: shop/web:2", "image: shop/web:2\n          envFrom: [{configMapRef: {name: settings}}]"
    )

    async def story(whole: Whole) -> None:
        await whole.goes_live({"a-web.yaml": web, "z-settings.yaml": config_map("settings")})
        made = whole.found(CONFIG_MAP, "default", "settings")["metadata"]["resourceVersion"]
        (replica_set,) = whole.store.view().list(REPLICA_SET, "default")
        assert int(made) < int(replica_set["metadata"]["resourceVersion"])
        assert "ownerReferences" not in record(whole, DEPLOYMENT, "web")["metadata"]

        changed = web.replace("shop/web:2", "shop/web:3")
        await whole.goes_live({"a-web.yaml": changed, "z-settings.yaml": config_map("settings", "two")})

        settings, live = (
            int(whole.found(kind, "default", name)["metadata"]["resourceVersion"])
            for kind, name in ((CONFIG_MAP, "settings"), (DEPLOYMENT, "web"))
        )
        assert settings < live

    site.run(story)


def test_an_immutable_field_is_told_with_what_goes_and_replaced_where_that_is_allowed(site: Site) -> None:
    other = deployment("web").replace("{app: web}", "{app: web, tier: front}")
    allowed = other.replace("name: web\n", "name: web\n  annotations: {gitward.io/replace: allowed}\n", 1)

    async def story(whole: Whole) -> None:
        await whole.goes_live({"web.yaml": deployment("web")})
        await whole.until(lambda: len(whole.names(POD, "default")) == 1)
        before = whole.found(DEPLOYMENT, "default", "web")["metadata"]["uid"]

        whole.repository.commit({"web.yaml": other})
        await whole.look()
        await whole.until(lambda: whole.status().get("unapplied"))
        (line,) = whole.status().get("unapplied") or []
        assert line.startswith("web.yaml:1: Deployment.apps default/web: spec.selector: ")
        assert "recreating it would delete the Deployment, 1 ReplicaSet (web-" in line
        assert "and 1 Pod (web-" in line

        await whole.goes_live({"web.yaml": allowed})
        assert whole.found(DEPLOYMENT, "default", "web")["metadata"]["uid"] != before
        assert whole.status().get("unapplied") == []
        await whole.until(lambda: len(whole.names(POD, "default")) == 1)
        await whole.until(lambda: len(whole.names(REPLICA_SET, "default")) == 1)
        assert len(events(whole, "Replaced")) == 1

    site.run(story)


def test_an_object_that_is_never_pruned_stays_and_the_commit_is_live(site: Site) -> None:
    kept = config_map("a").replace("name: a", "name: a\n  annotations: {gitward.io/prune: disabled}")

    async def story(whole: Whole) -> None:
        await whole.goes_live({"a.yaml": kept, "b.yaml": config_map("b")})

        await whole.goes_live({"a.yaml": None})

        assert whole.found(CONFIG_MAP, "default", "a") is not None
        assert whole.status().get("kept") == [
            "a.yaml:1: ConfigMap default/a: git does not declare it any more, and it stays: "
            "annotation gitward.io/prune: disabled"
        ]
        await kubectl(whole, "delete", "configmap", "a")
        await whole.until(lambda: record(whole, CONFIG_MAP, "a") is None)
        await whole.until(lambda: whole.status().get("kept") == [])

    site.run(story)


def test_a_held_deletion_is_not_done_by_hand_either_and_goes_with_its_trailer(site: Site) -> None:
    async def story(whole: Whole) -> None:
        await whole.goes_live({"a.yaml": config_map("a"), "b.yaml": config_map("b")})
        whole.repository.commit({"a.yaml": None, "b.yaml": None})
        await whole.look()
        assert len(whole.status().get("held") or []) == 2

        with pytest.raises(Forbidden, match="Gitward-Allow-Prune"):
            await whole.admin.delete(CONFIG_MAP, "default", "a")
        await kubectl(whole, "patch", "configmap", "a", "--type=merge", "-p", '{"data":{"a":"mine"}}')
        await whole.goes_live({}, "yes\n\nGitward-Allow-Prune: 2")

        assert whole.names(CONFIG_MAP, "default") == []

    site.run(story)
