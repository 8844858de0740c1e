"""`gitward node` and `gitward token`, run as people do, over a whole master with simulated nodes."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest

from gitops.client.joining import JoinToken, join, new_key
from gitops.kinds.core.node import NODE, Node, node_condition
from gitops.kinds.core.pod import POD, is_ready
from gitops.kinds.errors import Unauthorized
from gitops.kinds.objects import is_going
from gitops.kinds.policy import POD_DISRUPTION_BUDGET, budget_status
from tests.integration.master.test_simulated import simulated_nodes
from tests.integration.master.whole import Site, Whole, deployment
from tests.unit.cli.running import Ended

FIRST: Final = "simulated-1"
BUDGET: Final = """apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: default}
spec:
  maxUnavailable: %s
  selector: {matchLabels: {app: web}}
"""


@asynccontextmanager
async def two_nodes(whole: Whole) -> AsyncIterator[None]:
    """Both are Ready, so that pods are spread over them."""
    async with simulated_nodes(whole):
        await whole.until(lambda: sum(map(is_node_ready, whole.store.view().list(NODE))) == 2)
        yield


def is_node_ready(node: Node) -> bool:
    found = node_condition(node, "Ready")
    return found is not None and found["status"] == "True" and not node["spec"].get("taints")


async def gitward(whole: Whole, *arguments: str) -> Ended:
    command = (sys.executable, "-m", "gitops.cli.main", *arguments, f"--data-dir={whole.data}")
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


def ready_on(whole: Whole, node: str) -> list[str]:
    return [
        pod["metadata"].get("name", "")
        for pod in whole.store.view().list(POD, "default")
        if is_ready(pod) and not is_going(pod) and pod["spec"].get("nodeName") == node
    ]


def allowed(whole: Whole) -> int:
    found = whole.found(POD_DISRUPTION_BUDGET, "default", "web")
    return budget_status(found)["disruptionsAllowed"] if found else -1


def test_a_drain_takes_as_many_pods_at_once_as_their_budget_allows(site: Site) -> None:
    async def story(whole: Whole) -> None:
        async with two_nodes(whole):
            await whole.goes_live({"web.yaml": deployment("web", replicas=6), "budget.yaml": BUDGET % 1})
            await whole.until(lambda: allowed(whole) == 1)
            healthy: list[int] = []

            def seen(_: object) -> None:
                healthy.append(sum(len(ready_on(whole, node)) for node in (FIRST, "simulated-2")))

            before = ready_on(whole, FIRST)
            unsubscribe = whole.store.subscribe(seen)
            drained = await gitward(whole, "node", "drain", FIRST, "--timeout=1m")
            unsubscribe()

            assert drained.code == 0, drained.err
            lines = drained.out.splitlines()
            assert (lines[0], lines[-1]) == (f"node/{FIRST} cordoned", f"node/{FIRST} drained")
            assert {line for line in lines if line.endswith(" evicted")} == {
                f"pod/{one} evicted" for one in before
            }
            assert {f"evicting pod default/{one}" for one in before} <= set(lines)
            assert "Cannot evict pod as it would violate the pod's disruption budget." in drained.err
            assert "(will retry after 5s)" in drained.err
            assert min(healthy) == 5
            assert ready_on(whole, FIRST) == []
            assert (await gitward(whole, "node", "cordon", FIRST)).out == f"node/{FIRST} already cordoned\n"
            listed = (await gitward(whole, "node", "list")).out.splitlines()
            assert listed[1].split()[:2] == [FIRST, "Ready,closed"]
            assert (await gitward(whole, "node", "uncordon", FIRST)).out == f"node/{FIRST} uncordoned\n"

    site.run(story)


def test_a_drain_that_a_budget_forbids_ends_in_time_and_says_which_pods_are_left(site: Site) -> None:
    async def story(whole: Whole) -> None:
        async with two_nodes(whole):
            await whole.goes_live({"web.yaml": deployment("web", replicas=2), "budget.yaml": BUDGET % 0})
            await whole.until(lambda: sum(len(ready_on(whole, f"simulated-{one}")) for one in (1, 2)) == 2)
            (pod,) = ready_on(whole, FIRST)

            drained = await gitward(whole, "node", "drain", FIRST, "--timeout=2s")

            assert drained.code == 1
            assert drained.err.splitlines()[-1].endswith(
                f'unable to drain node "{FIRST}" due to error: error when waiting for pod "{pod}" in namespace '
                '"default" to terminate: global timeout reached: 2s'
            )
            assert ready_on(whole, FIRST) == [pod]

    site.run(story)


LONE: Final = """apiVersion: v1
kind: Pod
metadata: {name: lone, namespace: default}
spec:
  nodeName: simulated-1
  volumes: [{name: cache, emptyDir: {}}]
  containers: [{name: main, image: "shop/web:1"}]
"""


def test_a_drain_loses_nothing_that_it_was_not_told_to_lose(site: Site) -> None:
    refused = (
        f'unable to drain node "{FIRST}" due to error: [cannot delete Pods with local storage (use '
        "--delete-emptydir-data to override): default/lone, cannot delete Pods that declare no controller (use --force "
        "to override): default/lone]"
    )

    async def story(whole: Whole) -> None:
        async with two_nodes(whole):
            await whole.goes_live({"lone.yaml": LONE})
            await whole.until(lambda: ready_on(whole, FIRST) == ["lone"])

            first = await gitward(whole, "node", "drain", FIRST)
            half = await gitward(whole, "node", "drain", FIRST, "--force")
            assert (first.code, half.code) == (1, 1)
            assert first.err.splitlines()[-1].endswith(refused)
            assert half.err.splitlines()[-1].endswith(
                "(use --delete-emptydir-data to override): default/lone"
            )
            assert ready_on(whole, FIRST) == ["lone"]

            done = await gitward(whole, "node", "drain", FIRST, "--force", "--delete-emptydir-data")
            assert done.code == 0, done.err
            assert "Warning: deleting Pods that declare no controller: default/lone" in done.err

    site.run(story)


def test_a_node_that_does_not_exist_is_told(site: Site) -> None:
    async def story(whole: Whole) -> None:
        for command in ("drain", "cordon", "uncordon", "delete"):
            ended = await gitward(whole, "node", command, "nowhere")
            assert ended.code == 1
            assert 'nodes "nowhere" not found' in ended.err

    site.run(story)


def test_a_node_is_deleted(site: Site) -> None:
    async def story(whole: Whole) -> None:
        async with whole.node("n1"):
            ended = await gitward(whole, "node", "delete", "n1", "--drain")

            assert (ended.code, ended.out.splitlines()[-1]) == (0, 'node "n1" deleted'), ended.err
            assert whole.found(NODE, "", "n1") is None

    site.run(story)


def test_tokens_are_made_used_listed_and_revoked(site: Site) -> None:
    async def story(whole: Whole) -> None:
        made = await gitward(whole, "token", "create", "--for=n1", "--ttl=10m")
        again = await gitward(whole, "token", "create", "--uses=2")
        assert (made.code, again.code) == (0, 0)
        assert "gitward agent --master https://" in made.err
        first, second = JoinToken.of(made.out.strip()), JoinToken.of(again.out.strip())

        listed = await gitward(whole, "token", "list")
        rows = {line.split()[0]: line.split()[2:] for line in listed.out.splitlines()[1:]}
        assert rows == {first.id: ["1", "n1"], second.id: ["2", "any", "node"]}
        assert first.text not in listed.out

        credentials = whole.master.node_credentials("someone")
        await join(credentials.url, credentials.ca, first, "n1", new_key())
        assert whole.found(NODE, "", "n1") is not None
        left = await gitward(whole, "token", "list", "-o", "json")
        assert '"usesLeft": 0' in left.out

        revoked = await gitward(whole, "token", "revoke", second.id)
        assert revoked.out == f"token {second.id} is revoked\n"
        with pytest.raises(Unauthorized, match="not known"):
            await join(credentials.url, credentials.ca, second, "n2", new_key())
        unknown = await gitward(whole, "token", "revoke", "nothing1")
        assert (unknown.code, "there is no token nothing1" in unknown.err) == (1, True)

    site.run(story)


WRONG: Final = {
    ("create", "--uses=0"): "--uses: found 0, wanted 1 to 1000",
    ("create", "--ttl=8d"): "wanted 1m to 7d",
    ("create", "--ttl=soon"): "--ttl: found 'soon'",
}


def test_wrong_usage_of_a_token_is_told_with_what_is_wanted(site: Site) -> None:
    async def story(whole: Whole) -> None:
        for arguments, told in WRONG.items():
            ended = await gitward(whole, "token", *arguments)
            assert ended.code == 64
            assert told in ended.err

    site.run(story)
