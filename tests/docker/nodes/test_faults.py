"""Three nodes under constant load while agents, engines and the master are killed, and while a node is cut off.

One cluster lives through the tests of this module, in their order. Engine 2 has live-restore, engine 3 has not.
"""

import contextlib
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest

from agent.network.settings import link_name
from gitops.api.withdrawal import WAIT_SECONDS
from gitops.kinds.apps import DEPLOYMENT
from gitops.kinds.core.config import SECRET
from gitops.kinds.core.event import EVENT, Event
from gitops.kinds.core.pod import POD, Pod
from gitops.kinds.core.service import SERVICE
from gitops.kinds.errors import AlreadyExists, NotFound
from gitops.kinds.objects import is_going, uid
from tests.docker.engine import lacks
from tests.docker.nodes.cluster import Cluster, a_container, a_deployment, a_service, cluster_of
from tests.docker.nodes.machines import Machine, eventually

pytestmark = pytest.mark.timeout(500)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if missing := lacks():
        pytest.skip(missing)
    with cluster_of(tmp_path_factory.mktemp("faults"), "direct", frozenset({2})) as cluster:
        cluster.create(SERVICE, a_service())
        cluster.create(DEPLOYMENT, a_deployment(6, evicted_after_seconds=5))
        eventually(lambda: cluster.all_ready(6), "six pods are Ready")
        yield cluster


@contextlib.contextmanager
def customers(cluster: Cluster, *from_: Machine) -> Iterator[list[str]]:
    """Each machine asks the service all the time; what failed is told."""
    address = cluster.ask(lambda client: client.get(SERVICE, "default", "web"))["spec"]["clusterIP"]
    failures: list[str] = []
    stop = threading.Event()

    def shop(machine: Machine) -> None:
        command = machine.inside("curl", "-s", "-S", "-m", "5", f"http://{address}/cgi-bin/who")
        while not stop.wait(0.05):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode or "web-" not in done.stdout:
                failures.append(f"{machine.name}: {done.returncode} {done.stderr}{done.stdout}")

    threads = [threading.Thread(target=shop, args=(machine,)) for machine in from_]
    for thread in threads:
        thread.start()
    try:
        yield failures
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def roll(cluster: Cluster, version: str) -> None:
    wanted = a_deployment(6, version, evicted_after_seconds=5)
    cluster.ask(lambda client: client.patch(DEPLOYMENT, "default", "web", {"spec": wanted["spec"]}))


def version_of(pod: Pod) -> str:
    return str(pod["spec"]["containers"][0]["env"][0]["value"])


def has_rolled(cluster: Cluster, version: str) -> bool:
    pods = cluster.pods()
    return cluster.all_ready(6) and {version_of(pod) for pod in pods} == {version}


def right_pods_run_once(cluster: Cluster) -> bool:
    """Just the pods that the API has, each with one container, and none is on its way out."""
    pods = cluster.ask(lambda client: client.list(POD, "default")).items
    wanted = {uid(pod) for pod in pods if not is_going(pod)}
    running = cluster.running()
    return (
        len(wanted) == len(pods)
        and wanted == running.keys()
        and all(len(ids) == 1 for ids in running.values())
    )


def restarts(cluster: Cluster) -> Counter[str]:
    found: Counter[str] = Counter()
    for pod in cluster.pods():
        for one in (pod.get("status") or {}).get("containerStatuses") or ():
            found[uid(pod)] += one["restartCount"]
    return found


def test_a_roll_under_load_from_every_node_loses_no_request(cluster: Cluster) -> None:
    with customers(cluster, *cluster.nodes) as failures:
        for version in ("1a", "1b"):
            roll(cluster, version)
            eventually(lambda version=version: has_rolled(cluster, version), "the roll has ended")  # type: ignore[misc]

    assert failures == []
    eventually(lambda: right_pods_run_once(cluster), "the right pods run, each once")
    assert restarts(cluster).total() == 0


def test_a_pod_ends_when_no_node_leads_to_it_any_more_and_no_later(cluster: Cluster) -> None:
    """By iptables of each node when its container has gone; and sooner than where a node cannot say so."""
    taken = [seconds_to_end(cluster, number) for number in range(3)]
    eventually(lambda: cluster.all_ready(6) and right_pods_run_once(cluster), "six pods are Ready")
    cluster.nodes[2].freeze_agent()
    try:
        slow_seconds = seconds_to_end(cluster, 0)
    finally:
        cluster.nodes[2].thaw_agent()

    print(f"from deletion to the container's end: {taken}, with a node that does not say: {slow_seconds}")
    assert min(taken) < slow_seconds
    eventually(lambda: right_pods_run_once(cluster), "the right pods run, each once")


def seconds_to_end(cluster: Cluster, number: int) -> float:
    """Of a pod of this node that all lead to; its program obeys SIGTERM at once."""
    machine = cluster.nodes[number]
    eventually(
        lambda: any(led_to(cluster, pod) for pod in cluster.pods() if is_on(pod, machine)), "a pod is in use"
    )
    pod = next(pod for pod in cluster.pods() if is_on(pod, machine) and led_to(cluster, pod))
    begin = monotonic()
    cluster.ask(lambda client: client.delete(POD, "default", pod["metadata"].get("name", "")))
    while any(one["Labels"]["io.gitward.pod-uid"] == uid(pod) for one in machine.containers()):
        assert monotonic() - begin < 60
    seconds = monotonic() - begin
    target = f"{address(pod)}:8080"
    # Who does not say so within the bound is not waited for: a node without its agent, or with far too much to do.
    assert seconds > WAIT_SECONDS or not any(target in rules(one) for one in cluster.nodes)
    return seconds


def is_on(pod: Pod, machine: Machine) -> bool:
    return pod["spec"].get("nodeName") == machine.name


def led_to(cluster: Cluster, pod: Pod) -> bool:
    return address(pod) != "" and all(f"{address(pod)}:8080" in rules(machine) for machine in cluster.nodes)


def address(pod: Pod) -> str:
    return (pod.get("status") or {}).get("podIP", "")


def rules(machine: Machine) -> str:
    return machine.run("iptables-save", "-t", "nat")


def test_killing_agents_and_the_master_in_a_roll_loses_no_request(cluster: Cluster) -> None:
    # A node whose agent is dead hears nothing, so its own rules may lead to a pod that has just gone.
    with customers(cluster, cluster.nodes[2]) as failures:
        roll(cluster, "2")
        cluster.nodes[0].stop_agent("KILL")
        cluster.start_agent(cluster.nodes[0])
        cluster.stop_master(signal.SIGKILL)
        cluster.nodes[1].stop_agent("KILL")
        cluster.start_master()
        cluster.start_agent(cluster.nodes[1])
        eventually(lambda: has_rolled(cluster, "2"), "the roll has ended")

    assert failures == []
    eventually(lambda: right_pods_run_once(cluster), "the right pods run, each once")
    assert restarts(cluster).total() == 0


def test_an_engine_with_live_restore_is_killed_and_restarts_nothing(cluster: Cluster) -> None:
    before = cluster.running()
    with customers(cluster, *cluster.nodes) as failures:
        cluster.nodes[1].kill_engine()
        cluster.nodes[1].start_engine()
        eventually(
            lambda: cluster.ready() == {"n1", "n2", "n3"} and cluster.all_ready(6), "all is Ready again"
        )

    assert failures == []
    assert cluster.running() == before


def test_an_engine_without_live_restore_has_its_pods_started_again_where_they_were(cluster: Cluster) -> None:
    before = {uid(pod): pod["spec"].get("nodeName") for pod in cluster.pods()}
    elsewhere = {one: ids for one, ids in cluster.running().items() if before.get(one) != "n3"}

    cluster.nodes[2].kill_engine()
    cluster.nodes[2].start_engine()

    eventually(lambda: cluster.all_ready(6) and right_pods_run_once(cluster), "six pods run, each once")
    assert {one: ids for one, ids in cluster.running().items() if one in elsewhere} == elsewhere


def test_a_node_that_is_cut_off_keeps_its_pods_and_ends_them_when_it_is_back(cluster: Cluster) -> None:
    """Its pods are replaced elsewhere; one with a name of its own is not, until it is known to have ended."""
    lone: dict[str, Any] = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "db-0", "namespace": "default"},
        "spec": {"nodeName": "n3", "containers": [a_container()], "terminationGracePeriodSeconds": 2,
                 "tolerations": a_deployment(1, evicted_after_seconds=5)["spec"]["template"]["spec"]["tolerations"]},
    }  # fmt: skip
    cluster.create(POD, lone)
    third = cluster.nodes[2]
    eventually(lambda: len([one for one in third.containers() if _is_named(one, "db-0")]) == 1, "db-0 runs")
    before = {one["Id"] for one in third.containers()}

    third.cut()
    try:
        eventually(lambda: "n3" not in cluster.ready(), "the node is taken for lost", 90)
        eventually(lambda: cluster.all_ready(6), "its pods are replaced elsewhere")
        assert {one["Id"] for one in third.containers()} == before
        with pytest.raises(AlreadyExists):
            cluster.create(POD, {**lone, "spec": {**lone["spec"], "nodeName": "n1"}})
        assert is_going(cluster.ask(lambda client: client.get(POD, "default", "db-0")))
    finally:
        third.mend()

    eventually(lambda: "n3" in cluster.ready(), "it is back")
    eventually(lambda: not _exists(cluster, "db-0"), "db-0 is known to have ended")
    eventually(lambda: right_pods_run_once(cluster), "what was replaced has ended there")
    cluster.create(POD, {**lone, "spec": {**lone["spec"], "nodeName": "n1"}})
    eventually(lambda: right_pods_run_once(cluster), "db-0 runs once, elsewhere")


def _exists(cluster: Cluster, name: str) -> bool:
    try:
        cluster.ask(lambda client: client.get(POD, "default", name))
    except NotFound:
        return False
    return True


def _is_named(container: dict[str, dict[str, str]], name: str) -> bool:
    return container["Labels"]["io.gitward.pod-name"] == name


def test_a_short_cut_restarts_nothing(cluster: Cluster) -> None:
    before = cluster.running()
    cluster.nodes[2].cut()
    cluster.nodes[2].run("sleep", "5")
    cluster.nodes[2].mend()
    eventually(lambda: cluster.ready() == {"n1", "n2", "n3"} and cluster.all_ready(6), "all is Ready")

    assert cluster.running() == before


def test_a_machine_that_reboots_while_the_master_is_away_starts_its_pods(cluster: Cluster) -> None:
    """All but one that needs a Secret: that waits, since Secrets are not kept."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "password", "namespace": "default"},
              "stringData": {"word": "canary"}}  # fmt: skip
    cluster.create(SECRET, secret)
    reference = {"secretKeyRef": {"name": "password", "key": "word"}}
    needs = a_container(env=[{"name": "WORD", "valueFrom": reference}])
    needing = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "needs", "namespace": "default"},
               "spec": {"nodeName": "n1", "containers": [needs]}}  # fmt: skip
    cluster.create(POD, needing)
    first = cluster.nodes[0]
    eventually(lambda: any(_is_named(one, "needs") for one in first.containers()), "it runs")
    eventually(lambda: cluster.all_ready(6) and right_pods_run_once(cluster), "all run")
    names = {one["Labels"]["io.gitward.pod-name"] for one in first.containers()}
    first.run("sleep", "4")  # What is new is on the disk within two seconds.

    cluster.stop_master()
    first.pull_the_plug()
    first.boot(bridged=True)
    assert first.containers() == []
    cluster.start_agent(first)

    eventually(lambda: len(first.containers()) == len(names) - 1, "its pods run without a master")
    assert {one["Labels"]["io.gitward.pod-name"] for one in first.containers()} == names - {"needs"}
    eventually(lambda: "Secret default/password" in first.log.read_text(), "it says for what one pod waits")
    kept = [path.read_bytes() for path in (first.data_dir / "agent" / "memory").iterdir()]
    assert len(kept) > 4
    assert not any(b"canary" in content or b"web" in content for content in kept)

    cluster.start_master()
    eventually(lambda: cluster.all_ready(6) and right_pods_run_once(cluster), "all run, each once", 180)
    assert any(_is_named(one, "needs") for one in first.containers())

    def is_told() -> bool:
        told = cluster.ask(lambda client: client.list(EVENT, "default")).items
        return any(
            "waits for the master" in one.get("message", "") for one in told if _is_about(one, "needs")
        )

    eventually(is_told, "its waiting is an event")


def _is_about(event: Event, name: str) -> bool:
    return event["involvedObject"].get("name") == name


def unmatched(machine: Machine) -> set[str]:
    """Links and routes of no pod that runs there, and pods that have none."""
    pods = {link_name(one["Labels"]["io.gitward.pod-uid"]) for one in machine.containers()}
    links = {
        line.split()[1].partition("@")[0].rstrip(":") for line in machine.run("ip", "-o", "link").splitlines()
    }
    routes = {
        words[words.index("dev") + 1]
        for line in machine.run("ip", "route", "show", "proto", "77").splitlines()
        if "dev" in (words := line.split())
    }
    of_pods = {name for name in links if name.startswith("gw") and name not in ("gw0", "gwx")}
    return {f"link {name}" for name in of_pods ^ pods} | {
        f"route {name}" for name in (routes - {"gw0", "gwx", "eth0"}) ^ pods
    }


def test_nothing_is_left_of_what_has_gone(cluster: Cluster) -> None:
    """A link, a route and a container for each pod that is there, and none besides."""
    for machine in cluster.nodes:
        with contextlib.suppress(AssertionError):
            eventually(lambda machine=machine: not unmatched(machine), "all is matched")  # type: ignore[misc]

        assert unmatched(machine) == set(), machine.run("docker", "-H", machine.docker_host, "ps", "-a")


def test_down_on_every_machine_leaves_nothing(cluster: Cluster) -> None:
    for machine in cluster.nodes:
        machine.down()

        assert machine.containers(all_=True) == []
        assert machine.snapshot() == cluster.before[machine.name]
