"""`gitward doctor`: hosts that lack something, one fact at a time, and what is said of each."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gitops.cli.doctor.checks import findings
from gitops.cli.doctor.facts import (
    Cgroups,
    Clock,
    Engine,
    Facts,
    Firewall,
    Kernel,
    Listener,
    Resolvers,
    Role,
    Space,
    Wanted,
)
from gitops.cli.doctor.findings import Level

GIB = 1 << 30
DATA_DIR = Path("/var/lib/gitward")
ENGINE = Engine(
    "unix:///var/run/docker.sock",
    version="28.5.2",
    api_version=(1, 51),
    storage="overlay2",
    logging="json-file",
    live_restore=True,
    security=("name=seccomp,profile=builtin", "name=cgroupns"),
    cgroup_driver="systemd",
    cgroup_version="2",
    root_dir="/var/lib/docker",
)
KERNEL = Kernel(
    "6.1.0-18-amd64",
    (6, 1),
    {"bridge": "", "veth": "", "vxlan": "", "rules": ""},
    {"net.ipv4.ip_forward": "1"},
)
WELL = Facts(
    wanted=Wanted(
        Role.UP,
        DATA_DIR,
        listen="127.0.0.1:6443",
        webhook_listen="127.0.0.1:8180",
        ingress_http="0.0.0.0:80",
        ingress_https="0.0.0.0:443",
        pod_cidr="10.77.0.0/16",
        service_cidr="10.78.0.0/16",
    ),
    is_root=True,
    kernel=KERNEL,
    clock=Clock(1_800_000_000.0, is_synchronized=True),
    programs={
        "git": "git version 2.39.5",
        "haproxy": "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/",
        "conntrack": "conntrack v1.4.7 (conntrack-tools)",
        "iptables": "iptables v1.8.9 (nf_tables)",
    },
    spaces=(Space("/var/lib/gitward", 50 * GIB, 100 * GIB, 900, 1000, "ext4"),),
    isolation="own network namespace, empty root, uid 61099",
    engine=ENGINE,
    firewall=Firewall("iptables v1.8.9 (nf_tables)", nft_rules=12),
    cgroups=Cgroups("v2", frozenset({"cpu", "memory", "pids", "io"})),
    resolvers=Resolvers(("192.168.1.1",), answers=True),
)


class Case(NamedTuple):
    """What differs from a host that is well, and the one finding that it makes."""

    change: dict[str, Any]
    check: str
    level: Level
    found: str  # A part of it.
    advice: str  # A part of it.


def with_engine(**change: Any) -> dict[str, Any]:
    return {"engine": replace(ENGINE, **change)}


def with_kernel(**change: Any) -> dict[str, Any]:
    return {"kernel": replace(KERNEL, **change)}


def with_program(name: str, said: str) -> dict[str, Any]:
    return {"programs": {**WELL.programs, name: said}}


def with_space(free: int, size: int, *, inodes: int = 900, kind: str = "ext4") -> dict[str, Any]:
    return {"spaces": (Space("/var/lib/gitward", free, size, inodes, 1000, kind),)}


def with_listener(
    protocol: str, address: str, port: int, process: str = "nginx (process 17)"
) -> dict[str, Any]:
    return {"listeners": (Listener(protocol, address, port, process, is_ours=False),)}


E, W = Level.ERROR, Level.WARNING
TABLE = {
    "no root": Case({"is_root": False}, "rights", E, "not root", "use sudo"),
    "an old kernel": Case(
        with_kernel(release="5.4.0", version=(5, 4)), "kernel", E, "Linux 5.4.0", "5.6 or later"
    ),
    "a clock never set": Case(
        {"clock": Clock(0.0, True)}, "clock", E, "1970-01-01 00:00 UTC", "set the clock"
    ),
    "a clock kept by nobody": Case(
        {"clock": Clock(1_800_000_000.0, False)}, "clock", W, "kept by nobody", "chrony"
    ),
    "a full disk": Case(with_space(GIB // 2, 100 * GIB), "disk", E, "0.5 GiB free of 100.0", "make room"),
    "a nearly full disk": Case(with_space(5 * GIB, 100 * GIB), "disk", W, "5.0 GiB free", "less than 10%"),
    "no inodes": Case(
        with_space(50 * GIB, 100 * GIB, inodes=10), "disk", W, "10 of 1000 inodes", "small files"
    ),
    "the store on NFS": Case(
        with_space(50 * GIB, 100 * GIB, kind="nfs4"), "disk", E, "lies on nfs4", "--data-dir"
    ),
    "the store in memory": Case(
        with_space(50 * GIB, 100 * GIB, kind="tmpfs"), "disk", W, "in memory", "reboot"
    ),
    "no git": Case(with_program("git", ""), "git", E, "not installed", "apt-get install git"),
    "an old git": Case(with_program("git", "git version 2.34.1"), "git", E, "2.34.1", "2.36 or later"),
    "a git that says nonsense": Case(with_program("git", "segfault"), "git", E, "segfault", "2.36 or later"),
    "nothing confines": Case({"isolation": "none"}, "sandbox", W, "confined by none", "user namespaces"),
    "no engine": Case(
        with_engine(problem="Docker at unix:///x does not answer"), "docker", E, "does not answer", "start it"
    ),
    "an old engine": Case(
        with_engine(version="19.03", api_version=(1, 40)), "docker", E, "19.03 (API 1.40)", "20.10"
    ),
    "a rootless engine": Case(
        with_engine(security=("name=seccomp,profile=x", "name=rootless")),
        "docker",
        E,
        "rootless",
        "runs as root",
    ),
    "users remapped": Case(
        with_engine(security=("name=seccomp,profile=x", "name=userns")),
        "docker",
        W,
        "userns-remap",
        "hostPID",
    ),
    "no seccomp": Case(with_engine(security=()), "docker", W, "without seccomp", "has it"),
    "a snap": Case(with_engine(root_dir="/var/snap/docker/common"), "docker", W, "snap", "distribution"),
    "storage that copies": Case(with_engine(storage="vfs"), "docker storage", W, "vfs", "overlay2"),
    "no live-restore": Case(with_engine(live_restore=False), "live-restore", W, "off", "daemon.json"),
    "what Docker warns of": Case(
        with_engine(warnings=("No swap limit support",)), "docker", W, "No swap limit", "own words"
    ),
    "no cgroups": Case({"cgroups": Cgroups("", frozenset())}, "cgroups", E, "none mounted", "mount them"),
    "no memory controller": Case(
        {"cgroups": Cgroups("v1", frozenset({"cpu", "pids"}))},
        "cgroups",
        E,
        "v1 without memory",
        "cgroup_enable=memory",
    ),
    "no pids controller": Case(
        {"cgroups": Cgroups("v1", frozenset({"cpu", "memory"}))}, "cgroups", W, "without pids", "bounds"
    ),
    "no iptables": Case(
        {"firewall": Firewall("")}, "iptables", E, "not installed", "apt-get install iptables"
    ),
    "both iptables": Case(
        {"firewall": Firewall("iptables v1.8.9 (nf_tables)", 3, 4)},
        "iptables",
        W,
        "3 legacy, 4 nft",
        "update-alternatives",
    ),
    "no veth": Case(
        with_kernel(trial={"veth": "Operation not supported"}),
        "kernel features",
        E,
        "veth: Operation not supported",
        "modprobe veth",
    ),
    "rules that the kernel lacks": Case(
        with_kernel(trial={"veth": "", "rules": "Extension recent revision 0 not supported"}),
        "kernel features",
        E,
        "rules: Extension recent",
        "xt_recent",
    ),
    "no vxlan": Case(
        with_kernel(trial={"veth": "", "vxlan": "Unknown device type"}),
        "kernel features",
        W,
        "vxlan: Unknown",
        "one network",
    ),
    "no namespaces": Case(
        with_kernel(trial={"namespaces": "Operation not permitted"}),
        "kernel features",
        E,
        "namespaces: Operation",
        "kernel that has it",
    ),
    "forwarding that stays off": Case(
        with_kernel(sysctls={"net.ipv4.ip_forward": "0"}, is_sysctl_writable=False),
        "forwarding",
        E,
        "is 0 and cannot be set",
        "sysctl -w",
    ),
    "a range in use": Case(
        {"range_problem": "--pod-cidr 10.77.0.0/16 overlaps with route 10.0.0.0/8"},
        "ranges",
        E,
        "route 10.0.0.0/8",
        "",
    ),
    "no conntrack": Case(
        with_program("conntrack", ""), "conntrack", E, "not installed", "apt-get install conntrack"
    ),
    "no haproxy": Case(with_program("haproxy", ""), "haproxy", E, "not installed", "--ingress-http ''"),
    "an old haproxy": Case(
        with_program("haproxy", "HA-Proxy version 1.8.27"), "haproxy", E, "1.8.27", "2.4 or later"
    ),
    "no resolver": Case(
        {"resolvers": Resolvers((), None)}, "DNS upstream", W, "names no IPv4 resolver", "name one"
    ),
    "a resolver that is silent": Case(
        {"resolvers": Resolvers(("10.0.0.2",), False)},
        "DNS upstream",
        W,
        "10.0.0.2 does not answer",
        "cluster alone",
    ),
    "a data directory of a container's own": Case(
        {"mount_problem": "/var/lib/gitward is this container's own"}, "mounts", E, "own", "rshared"
    ),
    "port 80 taken everywhere": Case(
        with_listener("tcp", "0.0.0.0", 80), "port 80", E, "nginx (process 17)", "--ingress-http ADDRESS:PORT"
    ),
    "port 443 taken on one address": Case(
        with_listener("tcp", "192.168.1.5", 443), "port 443", E, "192.168.1.5:443", "--ingress-https"
    ),
    "port 443 taken by IPv6": Case(
        with_listener("tcp", "::", 443), "port 443", E, ":::443", "--ingress-https"
    ),
    "the API's port taken": Case(
        with_listener("tcp", "127.0.0.1", 6443, ""),
        "port 6443",
        E,
        "another program",
        "--listen ADDRESS:PORT",
    ),
    "the webhooks' port taken": Case(
        with_listener("tcp", "127.0.0.1", 8180), "port 8180", E, "nginx", "or nowhere: --webhook-listen ''"
    ),
    "port 53 taken everywhere": Case(
        with_listener("udp", "0.0.0.0", 53, "dnsmasq (process 9)"),
        "port 53",
        E,
        "dnsmasq (process 9)",
        "bind-interfaces",
    ),
}


def test_nothing_is_to_be_done_on_a_host_that_is_well() -> None:
    found = findings(WELL)

    assert [one for one in found if one.level is not Level.OK or one.advice] == []
    assert [one.check for one in found if one.check.startswith("port")] == [
        "port 6443",
        "port 8180",
        "port 80",
        "port 443",
        "port 53",
    ]


@pytest.mark.parametrize("case", TABLE.values(), ids=TABLE.keys())
def test_a_host_that_lacks_something_is_told_what_to_do(case: Case) -> None:
    found = [one for one in findings(replace(WELL, **case.change)) if one.level is not Level.OK]

    assert [(one.check, one.level) for one in found] == [(case.check, case.level)]
    assert case.found in found[0].found
    assert case.advice in found[0].advice
    assert found[0].advice or case.check == "ranges"  # Whose words say it already.


FREE = {
    "a resolver on its own loopback address": with_listener("udp", "127.0.0.53", 53),
    "a port of the other protocol": with_listener("udp", "0.0.0.0", 443),
    "another address": with_listener("tcp", "192.168.1.5", 6443),
    "what is ours": {"listeners": (Listener("tcp", "0.0.0.0", 80, "haproxy (process 8)", is_ours=True),)},
}


@pytest.mark.parametrize("change", FREE.values(), ids=FREE.keys())
def test_a_listener_that_is_in_nobodys_way_is_no_finding(change: dict[str, Any]) -> None:
    assert {one.level for one in findings(replace(WELL, **change))} == {Level.OK}


def test_a_master_alone_needs_no_engine_and_no_root() -> None:
    master = replace(
        WELL,
        wanted=replace(WELL.wanted, role=Role.MASTER),
        is_root=False,
        engine=None,
        firewall=None,
        cgroups=None,
        resolvers=None,
        spaces=(Space("/var/lib/gitward", GIB // 2, GIB, 0, 0, "ext4"),),
        programs={"git": "git version 2.39.5"},
    )

    found = findings(master)

    assert {one.level for one in found} == {Level.OK}
    assert [one.check for one in found] == [
        "rights",
        "kernel",
        "clock",
        "disk",
        "git",
        "sandbox",
        "port 6443",
        "port 8180",
    ]


def test_a_node_that_joins_needs_no_git_and_none_of_the_masters_ports() -> None:
    wanted = Wanted(Role.AGENT, DATA_DIR, ingress_http="0.0.0.0:80")
    taken = with_listener("tcp", "127.0.0.1", 6443)["listeners"]
    node = replace(
        WELL, wanted=wanted, isolation=None, programs={**WELL.programs, "git": ""}, listeners=taken
    )

    assert {one.level for one in findings(node)} == {Level.OK}
