"""The main road on a stock Docker engine: commit, pods, services, DNS, ingress, roll, revert, deaths, down.

One cluster lives through the tests of this module, in their order.
"""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

import images
from gitops.cli.bench.cluster import Cluster, git
from gitops.kinds.core.node import NODE, node_condition
from gitops.kinds.errors import Unavailable
from gitops.kinds.objects import uid
from tests.docker.road.shop import Customers, Shop, by_address, by_ingress, by_tls, eventually
from tests.docker.snapshot import snapshot

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def before() -> Mapping[str, frozenset[str]]:
    """The host as it was before anything started."""
    return snapshot()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, before: Mapping[str, frozenset[str]]) -> Iterator[Shop]:
    assert before
    cluster = Cluster(tmp_path_factory.mktemp("road"))
    shop = Shop(cluster)
    images.load(shop.engine)
    shop.open()
    cluster.start()
    try:
        yield shop
    finally:
        if cluster.process is not None and cluster.process.poll() is None:
            cluster.stop()
        cluster.down()
        print(cluster.log.read_text()[-8_000:])


def roads(shop: Shop) -> Customers:
    address = shop.cluster_ip("web")
    return Customers(
        {
            "ClusterIP": partial(by_address, address),
            "ingress": by_ingress,
            "TLS": partial(by_tls, shop.certificate),
        }
    )


def test_a_commit_becomes_healthy_pods(shop: Shop) -> None:
    shop.cluster.sync()

    assert len(shop.pods("web")) == 10
    assert len(shop.pods("api")) == 2
    assert {len(pod["status"].get("containerStatuses", [])) for pod in shop.pods("api")} == {2}


def test_the_service_answers_by_address_and_name_from_pods_and_from_the_node(shop: Shop) -> None:
    address = shop.cluster_ip("web")
    names = ("web", "web.shop", "web.shop.svc.cluster.local")

    assert by_address(address).startswith("version 1.0 from web-")
    for name in (address, *names):
        answer = shop.in_pod("api", "catalog", "wget", "-q", "-O", "-", f"http://{name}/version")
        assert answer.startswith("version 1.0 from web-")


def test_a_pod_reaches_itself_through_its_own_service(shop: Shop) -> None:
    """Hairpin: two replicas behind the service, so ten calls come back to the caller many times."""
    for _ in range(10):
        answer = shop.in_pod("api", "catalog", "wget", "-q", "-O", "-", "http://api/api/products.json")
        assert '"database": "granted"' in answer


def test_the_ingress_answers_over_http_and_tls_by_path(shop: Shop) -> None:
    assert by_ingress().startswith("version 1.0")
    assert by_tls(shop.certificate).startswith("version 1.0")
    assert '"tea": 4' in by_tls(shop.certificate, "/api/products.json")


def test_two_containers_share_a_volume_and_one_address(shop: Shop) -> None:
    local = shop.in_pod("api", "catalog", "wget", "-q", "-O", "-", "http://127.0.0.1:8081/api/products.json")

    assert '"cups": 12' in local


def test_a_roll_of_ten_pods_loses_no_request_and_restarts_nothing_else(shop: Shop) -> None:
    others = shop.container_ids("api")
    old = {uid(pod) for pod in shop.pods("web")}

    with roads(shop) as customers:
        shop.cluster.commit(
            shop.edit("shop/web/deployment.yaml", 'value: "1.0"', 'value: "2.0"'), "Version 2.0"
        )
        shop.cluster.sync()
        eventually(lambda: len(shop.pods("web")) == 10, "the old pods are gone")

    assert customers.failures == []
    assert all(count > 30 for count in customers.answers.values())
    assert by_ingress().startswith("version 2.0")
    assert not old & {uid(pod) for pod in shop.pods("web")}
    assert shop.container_ids("api") == others


def test_a_revert_brings_the_first_state_back_without_losing_a_request(shop: Shop) -> None:
    with roads(shop) as customers:
        git(shop.cluster.repo, "revert", "--no-edit", "HEAD")
        shop.cluster.sync()
        eventually(lambda: len(shop.pods("web")) == 10, "the pods of the reverted version are gone")

    assert customers.failures == []
    assert by_ingress().startswith("version 1.0")


def test_a_config_change_reaches_a_running_container(shop: Shop) -> None:
    shop.cluster.commit(
        shop.edit("shop/web/deployment.yaml", "The little shop", "The bigger shop"), "A new sign"
    )
    shop.cluster.sync()

    def seen() -> bool:
        return "The bigger shop" in shop.in_pod("web", "web", "cat", "/pages/index.html")

    eventually(seen, "the new page is in the pod's volume")


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def processes(part: str) -> list[int]:
    """Pids of this cluster's processes whose command line holds `part`: those in the test's own network namespace.

    Pids are the whole machine's, and another cluster's helpers bear the same names.
    """
    own, found = Path("/proc/self/ns/net").readlink(), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if part in command_line(int(entry.name)) and (entry / "ns/net").readlink() == own:
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_killing_agent_and_master_restarts_no_container_and_drops_no_request(shop: Shop) -> None:
    running = shop.container_ids("web") | shop.container_ids("api")
    with roads(shop) as customers:
        assert shop.cluster.process is not None
        agents = [pid for pid in children(shop.cluster.process.pid) if "agent.node" in command_line(pid)]
        for pid in agents:
            os.kill(pid, signal.SIGKILL)
        eventually(
            lambda: any(
                pid not in agents and "agent.node" in command_line(pid)
                for pid in children(shop.cluster.process.pid)  # type: ignore[union-attr] # Started above.
            ),
            "the agent is started again",
        )
        shop.cluster.stop(signal.SIGKILL)
        shop.cluster.start()
        shop.cluster.sync()

    assert agents
    assert customers.failures == []
    assert shop.container_ids("web") | shop.container_ids("api") == running


def test_a_killed_dns_or_proxy_is_back(shop: Shop) -> None:
    helpers = processes("agent.dns") + processes("haproxy")
    for pid in helpers:
        with suppress(ProcessLookupError):  # The proxy's worker ends with its master.
            os.kill(pid, signal.SIGKILL)

    def answers() -> bool:
        try:
            by_ingress()
            return "version" in shop.in_pod("api", "catalog", "wget", "-q", "-O", "-", "http://web/version")
        except (OSError, AssertionError):
            return False

    assert len(helpers) >= 2
    eventually(answers, "DNS and ingress answer again")
    assert not set(helpers) & set(processes("agent.dns") + processes("haproxy"))


def test_a_broken_commit_holds_everything_as_it_was_and_names_the_line(shop: Shop) -> None:
    running = shop.container_ids("web")
    shop.cluster.commit(
        shop.edit("shop/web/deployment.yaml", "replicas: 10", "replicsa: 10"), "A slip of the finger"
    )

    with pytest.raises(Unavailable, match=r"shop/web/deployment\.yaml:\d+: .*replicsa.*replicas"):
        shop.cluster.sync()

    assert shop.container_ids("web") == running
    git(shop.cluster.repo, "revert", "--no-edit", "HEAD")
    shop.cluster.sync()
    assert shop.container_ids("web") == running


def engine_pid() -> int:
    """Of the private engine: its pid file lies beside its socket."""
    socket = os.environ["DOCKER_HOST"].removeprefix("unix://")
    return int((Path(socket).parent / "pid").read_text())


def node_problem(shop: Shop) -> str:
    """What the node says of itself; '' if it is Ready."""
    (node,) = shop.ask(lambda client: client.list(NODE)).items
    ready = node_condition(node, "Ready")
    return "" if ready is None or ready["status"] == "True" else ready.get("message", "")


def test_an_engine_that_hangs_in_mid_deploy_is_told_and_loses_nothing(shop: Shop) -> None:
    others = shop.container_ids("api")
    with roads(shop) as customers:
        shop.cluster.commit(
            shop.edit("shop/web/deployment.yaml", 'value: "1.0"', 'value: "3.0"'), "Version 3.0"
        )
        shop.cluster.sync(wait=False)
        os.kill(engine_pid(), signal.SIGSTOP)
        try:
            eventually(lambda: "Docker" in node_problem(shop), "the node says that Docker does not answer")
        finally:
            os.kill(engine_pid(), signal.SIGCONT)
        shop.cluster.sync()

    assert customers.failures == []
    assert by_ingress().startswith("version 3.0")
    assert shop.container_ids("api") == others
    eventually(lambda: node_problem(shop) == "", "the node is Ready again")
    git(shop.cluster.repo, "revert", "--no-edit", "HEAD")
    shop.cluster.sync()
    eventually(lambda: len(shop.pods("web")) == 10, "the pods of version 3.0 are gone")


def test_stopping_up_leaves_the_pods_serving(shop: Shop) -> None:
    running = shop.container_ids("web")

    assert shop.cluster.stop() == 0
    assert by_ingress().startswith("version 1.0")

    shop.cluster.start()
    shop.cluster.sync()
    assert shop.container_ids("web") == running


def test_down_leaves_the_host_as_it_was(shop: Shop, before: Mapping[str, frozenset[str]]) -> None:
    shop.cluster.down()

    assert shop.engine.containers.list(all=True) == []
    assert snapshot() == before
