"""`gitward sync`, with and without --wait, over a real API."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Final

import pytest

from gitops.cli import sync
from gitops.kinds.gitward import GIT_SOURCE, MANAGER
from tests.integration.api.builders import Json, a_deployment, a_pod
from tests.integration.cli.conftest import Cluster

OLD: Final = "9d8e7f60000000000000000000000000000000bb"
NEW: Final = "3f2c1ab0000000000000000000000000000000aa"
PATIENCE_SECONDS: Final = 10.0


def of_git(obj: Json) -> Json:
    """Stated by a source, as its managed fields tell."""
    entry = {
        "manager": MANAGER,
        "operation": "Apply",
        "apiVersion": obj["apiVersion"],
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:replicas": {}}},
    }
    return {**obj, "metadata": {**obj["metadata"], "managedFields": [entry]}}


@contextmanager
def meanwhile(cluster: Cluster, work: Callable[[], None]) -> Iterator[None]:
    """`work` happens in the master once someone has asked for a look."""

    def once_asked() -> None:
        end = monotonic() + PATIENCE_SECONDS
        while not cluster.api.synced and monotonic() < end:
            sleep(0.01)
        work()

    with ThreadPoolExecutor(1) as pool:
        done: Future[None] = pool.submit(once_asked)
        yield
        done.result(PATIENCE_SECONDS)


def test_every_source_is_looked_at(cluster: Cluster) -> None:
    cluster.follow("other", "https://git.example.com/other.git")
    cluster.live(OLD)

    ended = cluster.run("sync")

    assert ended == (0, "main: 9d8e7f6 declared\nother: nothing declared\n", "")
    assert cluster.api.synced == ["main", "other"]


def test_one_source_alone(cluster: Cluster) -> None:
    cluster.follow("other", "https://git.example.com/other.git")
    cluster.live(OLD)

    assert cluster.run("sync", "main").code == 0
    assert cluster.api.synced == ["main"]


def test_an_unknown_source_is_told(cluster: Cluster) -> None:
    ended = cluster.run("sync", "third")

    assert ended.code == 1
    assert "third" in ended.err


def test_problems_are_a_failure_with_their_lines(cluster: Cluster) -> None:
    lines = ["web.yaml:7: Pod default/web: \x1b[2J", "db.yaml:1: cannot decrypt"]
    cluster.status({"commit": {"fetched": NEW, "live": OLD}, "problems": lines})

    ended = cluster.run("sync")

    assert ended == (1, "", "web.yaml:7: Pod default/web: \\x1b[2J\ndb.yaml:1: cannot decrypt\n")


def test_waiting_ends_when_the_commit_is_live_and_healthy(cluster: Cluster) -> None:
    cluster.status({"commit": {"fetched": NEW, "declared": NEW, "live": OLD}})

    with meanwhile(cluster, lambda: cluster.live(NEW)):
        ended = cluster.run("sync", "--wait")

    assert ended == (0, "main: 3f2c1ab live and healthy\n", "")


def test_deletions_that_are_held_are_told_beside_a_live_commit(cluster: Cluster) -> None:
    held = ["ConfigMap default/a (was in a.yaml:1)", "ConfigMap default/b (was in b.yaml:1)"]
    cluster.status({"commit": {"fetched": NEW, "declared": NEW, "live": NEW}, "held": held})

    ended = cluster.run("sync", "--wait")

    assert ended == (
        3,
        "main: 3f2c1ab live and healthy, but 2 deletions held\n",
        "held: ConfigMap default/a (was in a.yaml:1)\nheld: ConfigMap default/b (was in b.yaml:1)\n"
        "held: deleted after a commit with the trailer `Gitward-Allow-Prune: all`, or a number\n",
    )


def test_warnings_are_counted_when_a_commit_is_live(cluster: Cluster) -> None:
    warnings = ["a.yaml:1: HelmRelease.helm.toolkit.fluxcd.io a: no kind HelmRelease is served: it waits"]
    cluster.status({"commit": {"fetched": NEW, "declared": NEW, "live": NEW}, "warnings": warnings})

    ended = cluster.run("sync", "--wait")

    assert ended == (0, "main: 3f2c1ab live and healthy, with 1 warning: see `gitward status`\n", "")


def test_waiting_fails_when_the_commit_turns_out_wrong(cluster: Cluster) -> None:
    cluster.status({"commit": {"fetched": NEW, "declared": NEW, "live": OLD}})

    with meanwhile(cluster, lambda: cluster.status({"problems": ["web.yaml:7: field is immutable"]})):
        ended = cluster.run("sync", "--wait")

    assert ended == (1, "", "web.yaml:7: field is immutable\n")


def test_waiting_fails_when_an_object_cannot_be_applied(cluster: Cluster) -> None:
    cluster.status(
        {"commit": {"fetched": NEW, "declared": NEW, "live": OLD}, "unapplied": ["web.yaml:7: no \x1b"]}
    )

    assert cluster.run("sync", "--wait") == (1, "", "web.yaml:7: no \\x1b\n")


def test_waiting_says_what_an_object_waits_for(cluster: Cluster) -> None:
    waiting = ["web.yaml:1: there is no namespace shop"]
    cluster.status({"commit": {"fetched": NEW, "declared": NEW, "live": OLD}, "waiting": waiting})

    ended = cluster.run("sync", "--wait", "--timeout", "100ms")

    assert ended.err == (
        "main: not live and healthy after 0.1 s: "
        "commit 3f2c1ab is not live yet: web.yaml:1: there is no namespace shop\n"
    )


def test_waiting_says_what_was_missing_when_time_is_up(cluster: Cluster) -> None:
    cluster.live(NEW)
    cluster.api.create(of_git(a_deployment("web", replicas=3, ready=1)))

    ended = cluster.run("sync", "--wait", "--timeout", "300ms")

    assert ended.code == 1
    assert ended.err.startswith("main: not live and healthy after 0.3 s: Deployment default/web: ")


def test_a_reason_that_lasts_is_told_once_where_there_is_no_terminal(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "LASTS_SECONDS", 0.0)
    cluster.live(NEW)
    pod = a_pod("web-a", node="n1", labels={"app": "web"})
    pod["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "ErrImagePull"}}
    cluster.api.create(of_git(a_deployment("web", replicas=3, ready=1)), pod)

    ended = cluster.run("sync", "--wait", "--timeout", "1s")

    missing = "Deployment default/web: 1 of 3 replicas are available: pod web-a: main: ErrImagePull\n"
    assert ended.err == f"main: waits: {missing}main: not live and healthy after 1 s: {missing}"


def test_what_git_does_not_state_is_not_waited_for(cluster: Cluster) -> None:
    cluster.live(NEW)
    cluster.api.create(a_deployment("by-hand", replicas=3, ready=0))

    assert cluster.run("sync", "--wait").code == 0


def test_without_a_source_it_says_what_to_do(cluster: Cluster) -> None:
    cluster.api.remove(GIT_SOURCE, "", "main")

    assert cluster.run("sync") == (1, "", "no source is followed: start `gitward up` with --repo\n")
