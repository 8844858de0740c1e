"""Hostnames, /etc/hosts, /etc/resolv.conf."""

from typing import Any

import pytest

from agent.pods.names import Names, hostname, hosts_file, kernel_hostname, resolv_conf
from agent.pods.refused import Refused
from tests.agent_world import a_pod

NAMES = Names(
    "cluster.local", "10.78.0.10", "nameserver 192.0.2.53 # home\nsearch example.org\noptions rotate\n"
)
CLUSTER = "search shop.svc.cluster.local svc.cluster.local cluster.local example.org\nnameserver 10.78.0.10\n"
HOST = "search example.org\nnameserver 192.0.2.53\noptions rotate\n"
OWN = {"nameservers": ["192.0.2.9"], "options": [{"name": "ndots", "value": "2"}, {"name": "trust-ad"}]}


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({}, CLUSTER + "options ndots:5\n"),
        ({"dnsPolicy": "Default"}, HOST),
        ({"hostNetwork": True}, HOST),
        ({"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}, CLUSTER + "options ndots:5\n"),
        ({"dnsPolicy": "None", "dnsConfig": OWN}, "nameserver 192.0.2.9\noptions ndots:2 trust-ad\n"),
        ({"dnsConfig": OWN}, CLUSTER + "nameserver 192.0.2.9\noptions ndots:2 trust-ad\n"),
    ],
)
def test_resolv_conf(spec: dict[str, Any], text: str) -> None:
    assert resolv_conf(a_pod(containers=[], **spec), NAMES) == text


def test_hosts_name_the_pod_and_its_aliases() -> None:
    aliases = [{"ip": "192.0.2.7", "hostnames": ["db", "db.example.org"]}]

    text = hosts_file(a_pod(containers=[], subdomain="team", hostAliases=aliases), "10.77.1.2", NAMES)

    assert text.splitlines()[0] == "# Kubernetes-managed hosts file."
    assert text.splitlines()[7:] == [
        "10.77.1.2\tweb.team.shop.svc.cluster.local\tweb",
        "",
        "# Entries added by HostAliases.",
        "192.0.2.7\tdb\tdb.example.org",
    ]


def test_a_long_name_is_cut_to_a_hostname() -> None:
    assert hostname(a_pod("a" * 62 + "-b", containers=[])) == "a" * 62
    assert hostname(a_pod(containers=[], hostname="own")) == "own"


def test_the_whole_name_is_the_hostname_where_it_is_asked_for() -> None:
    named: dict[str, Any] = {"containers": [], "hostname": "db-0", "subdomain": "db"}

    assert kernel_hostname(a_pod(**named), NAMES) == "db-0"
    assert kernel_hostname(a_pod(**named, setHostnameAsFQDN=True), NAMES) == "db-0.db.shop.svc.cluster.local"
    assert kernel_hostname(a_pod(containers=[], setHostnameAsFQDN=True), NAMES) == "web"


def test_a_whole_name_that_linux_does_not_take_is_refused() -> None:
    pod = a_pod(containers=[], hostname="x" * 40, subdomain="db", setHostnameAsFQDN=True)

    with pytest.raises(Refused, match=r"is too long \(64 characters is the max, 66 characters requested\)"):
        kernel_hostname(pod, NAMES)


def test_an_override_is_the_name_and_is_in_no_zone() -> None:
    pod = a_pod(containers=[], hostname="db-0", subdomain="db", hostnameOverride="gold.example.org")

    assert kernel_hostname(pod, NAMES) == "gold.example.org"
    assert hosts_file(pod, "10.77.1.2", NAMES).splitlines()[-1] == "10.77.1.2\tgold.example.org"


def test_a_pod_on_the_hosts_network_has_the_hosts_names_and_its_own_aliases() -> None:
    pod = a_pod(containers=[], hostNetwork=True, hostAliases=[{"ip": "192.0.2.7", "hostnames": ["db"]}])

    assert hosts_file(pod, "192.0.2.1", NAMES._replace(host_hosts="127.0.0.1 localhost\n")) == (
        "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n"
        "\n# Entries added by HostAliases.\n192.0.2.7\tdb\n"
    )
