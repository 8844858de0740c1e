"""Pods reach each other across nodes by address, by service and by name; direct on one network, VXLAN over routers."""

import subprocess
from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import pytest

from gitops.kinds.apps import DEPLOYMENT
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD, Pod
from gitops.kinds.core.service import SERVICE
from gitops.kinds.networking import INGRESS
from gitops.kinds.objects import uid
from tests.docker.engine import lacks
from tests.docker.nodes.cluster import Cluster, a_deployment, a_service, cluster_of
from tests.docker.nodes.machines import Machine, eventually, run

pytestmark = pytest.mark.timeout(400)
CURL_TIMED_OUT = 28
LISTENERS = {53, 8880}  # DNS for pods, ingress: nothing by which a node could be led.
PODS_WAY_TO_THE_API = 6444  # It leads out, to the master, and is open in the pod network alone.


@pytest.fixture(scope="module", params=["direct", "vxlan"])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if missing := lacks():
        pytest.skip(missing)
    with cluster_of(tmp_path_factory.mktemp(f"ways-{request.param}"), request.param) as cluster:
        cluster.create(SERVICE, a_service())
        cluster.create(DEPLOYMENT, a_deployment(6))
        eventually(lambda: cluster.all_ready(6), "six pods are Ready")
        yield cluster


def pods_apart(cluster: Cluster) -> list[Pod]:
    """One pod of each node."""
    return list({pod["spec"].get("nodeName", ""): pod for pod in cluster.pods()}.values())


def ask(cluster: Cluster, pod: Pod, url: str) -> str:
    return cluster.machine_of(pod).in_pod(uid(pod), "wget", "-q", "-O", "-", url).strip()


def address(pod: Pod) -> str:
    return (pod.get("status") or {}).get("podIP", "")


def test_nodes_have_ranges_of_their_own(cluster: Cluster) -> None:
    ranges = {node["spec"].get("podCIDR") for node in cluster.list_nodes()}

    assert ranges == {"10.77.0.0/24", "10.77.1.0/24", "10.77.2.0/24"}
    assert len(pods_apart(cluster)) == 3


def test_a_pod_sees_the_address_of_a_pod_of_another_node(cluster: Cluster) -> None:
    pods = pods_apart(cluster)
    for one in pods:
        for other in pods:
            if one is not other:
                said = ask(cluster, one, f"http://{address(other)}:8080/cgi-bin/who")
                assert said.split()[0].strip("[]").removeprefix("::ffff:") == address(one)


def test_what_is_larger_than_a_packet_arrives_whole(cluster: Cluster) -> None:
    one, other, _ = pods_apart(cluster)

    assert len(ask(cluster, one, f"http://{address(other)}:8080/big")) >= 1_999_999
    mtu = cluster.machine_of(one).in_pod(uid(one), "cat", "/sys/class/net/eth0/mtu").strip()
    assert mtu == {"direct": "1500", "vxlan": "1450"}[cluster.overlay]


def test_a_service_is_reached_by_name_from_each_node_and_leads_to_all(cluster: Cluster) -> None:
    names = {pod["metadata"].get("name", "") for pod in cluster.pods()}
    for pod in pods_apart(cluster):
        said = {ask(cluster, pod, "http://web/cgi-bin/who").split()[-1] for _ in range(60)}
        assert said == names


def test_a_node_reaches_pods_of_other_nodes(cluster: Cluster) -> None:
    first = cluster.nodes[0]
    for pod in pods_apart(cluster):
        said = first.run("busybox", "wget", "-q", "-O", "-", f"http://{address(pod)}:8080/cgi-bin/who")
        assert said.split()[-1] == pod["metadata"].get("name")


def test_a_node_listens_on_no_port_of_the_control_plane(cluster: Cluster) -> None:
    for machine in cluster.nodes:
        found = set()
        for table in ("tcp", "tcp6"):
            lines = machine.run("cat", f"/proc/net/{table}").splitlines()[1:]
            found |= {tuple(line.split()[1].split(":")) for line in lines if line.split()[3] == "0A"}
        ports = {int(port, 16) for _, port in found}
        assert ports <= LISTENERS | {PODS_WAY_TO_THE_API}
        ways = {
            ip_address(bytes.fromhex(at)[::-1]) for at, port in found if int(port, 16) == PODS_WAY_TO_THE_API
        }
        assert len(ways) <= 1
        assert all(one in ip_network("10.77.0.0/16") for one in ways)


def test_from_outside_the_cluster_no_pod_is_reached(cluster: Cluster) -> None:
    """The test's own namespace is a machine on the nodes' network that is no node."""
    pod = pods_apart(cluster)[0]
    run("ip", "route", "add", "10.77.0.0/16", "via", cluster.machine_of(pod).address)
    try:
        done = subprocess.run(
            ("curl", "-s", "-m", "3", f"http://{address(pod)}:8080/cgi-bin/who"), check=False
        )
        assert done.returncode == CURL_TIMED_OUT
    finally:
        run("ip", "route", "del", "10.77.0.0/16")


def all_reach_each_other(cluster: Cluster) -> bool:
    pods = pods_apart(cluster)
    return len(pods) == 3 and all(
        ask(cluster, one, f"http://{address(other)}:8080/cgi-bin/who") for one in pods for other in pods
    )


def test_the_ingress_of_each_node_leads_to_the_pods_of_all(cluster: Cluster) -> None:
    """Asked by a machine that is no node."""
    rule = {
        "path": "/",
        "pathType": "Prefix",
        "backend": {"service": {"name": "web", "port": {"number": 80}}},
    }
    ingress = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
               "metadata": {"name": "web", "namespace": "default"},
               "spec": {"rules": [{"host": "web.example", "http": {"paths": [rule]}}]}}  # fmt: skip
    cluster.create(INGRESS, ingress)
    names = {pod["metadata"].get("name", "") for pod in cluster.pods()}

    def who(machine: Machine) -> str:
        url = f"http://{machine.address}:8880/cgi-bin/who"
        command = ("curl", "-s", "-m", "5", "-H", "Host: web.example", url)
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    for machine in cluster.nodes:
        eventually(lambda machine=machine: "web-" in who(machine), "the ingress answers")  # type: ignore[misc]
        assert {who(machine).split()[-1] for _ in range(60)} == names


def test_a_node_that_was_cut_off_is_reached_again_and_restarts_nothing(cluster: Cluster) -> None:
    before, (one, other, _) = cluster.running(), pods_apart(cluster)
    lost = next(machine for machine in cluster.nodes if machine not in map(cluster.machine_of, (one, other)))
    lost.cut()
    try:
        eventually(lambda: lost.name not in cluster.ready(), "it is taken for lost")
        assert ask(cluster, one, f"http://{address(other)}:8080/cgi-bin/who")
    finally:
        lost.mend()

    eventually(lambda: len(cluster.ready()) == 3 and cluster.all_ready(6), "all is Ready again")
    eventually(lambda: all_reach_each_other(cluster), "pods reach each other again")
    assert cluster.running() == before


def test_a_node_that_comes_back_with_another_address_is_reached_there(cluster: Cluster) -> None:
    first, third, before = cluster.nodes[0], cluster.nodes[2], cluster.running()
    third.stop_agent()
    third.move()
    cluster.start_agent(third)

    def told() -> str:
        (node,) = (node for node in cluster.list_nodes() if node["metadata"].get("name") == "n3")
        addresses = (node.get("status") or {}).get("addresses") or ()
        return next((one["address"] for one in addresses if one["type"] == "InternalIP"), "")

    eventually(lambda: told() == third.address, "the node tells its new address")
    eventually(lambda: all_reach_each_other(cluster), "pods reach each other again")
    if cluster.overlay == "direct":
        assert f"via {third.address}" in first.run("ip", "route", "show", "proto", "77")
    eventually(lambda: len(cluster.ready()) == 3, "all nodes are Ready")
    assert cluster.running() == before


def test_a_node_that_is_deleted_is_routed_to_no_more_and_may_join_again(cluster: Cluster) -> None:
    first, third = cluster.nodes[0], cluster.nodes[2]
    third.stop_agent()
    lost = next(
        node["spec"].get("podCIDR", "")
        for node in cluster.list_nodes()
        if node["metadata"].get("name") == "n3"
    )
    assert lost in first.run("ip", "route", "show", "proto", "77")

    cluster.ask(lambda client: client.delete(NODE, "", "n3"))
    eventually(lambda: lost not in first.run("ip", "route", "show", "proto", "77"), "the route is gone")
    cluster.join(third)

    eventually(lambda: "n3" in cluster.ready(), "it has joined again")
    eventually(lambda: lost in first.run("ip", "route", "show", "proto", "77"), "the route is back")
    eventually(lambda: cluster.all_ready(6), "all pods are Ready again")
    for pod in cluster.pods()[
        :3
    ]:  # They may all have gone elsewhere meanwhile: the next ones go where none is.
        name = pod["metadata"].get("name", "")
        cluster.ask(lambda client, name=name: client.delete(POD, "default", name))  # type: ignore[misc] # By value.
    eventually(lambda: cluster.all_ready(6) and len(pods_apart(cluster)) == 3, "each node has pods again")
    eventually(lambda: all_reach_each_other(cluster), "pods reach each other again")


def test_down_leaves_nothing_on_any_machine(cluster: Cluster) -> None:
    for machine in cluster.nodes:
        machine.down()

        assert machine.containers(all_=True) == []
        before = cluster.before[machine.name]
        if machine.moved_from:  # Not our doing.
            before = {
                part: sorted(line.replace(machine.moved_from, machine.address) for line in lines)
                for part, lines in before.items()
            }
        assert machine.snapshot() == before
        assert str(machine.data_dir) not in machine.run("cat", "/proc/self/mountinfo")
