"""What a host answers, read: examples from real hosts, and any text at all."""

import socket

from hypothesis import given
from hypothesis import strategies as st

from gitops.cli.doctor import parsing
from gitops.cli.doctor.facts import Cgroups
from gitops.cli.doctor.parsing import Mount, Socket

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2001 1 0000 100 0 0 10 0
   1: 0100007F:9C40 0100007F:192B 01 00000000:00000000 00:00000000 00000000     0        0 2002 1 0000 20 4 30 10 -1
"""
TCP6 = """\
  sl  local_address              remote_address              st tx rx tr tm retrnsmt uid timeout inode
   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 3001 1 0
   1: 0000000000000000FFFF00000100007F:01BB 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 3002 1 0
"""
UDP = """\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  101: 3500007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 4001 2 0000 0
"""
MOUNTINFO = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
30 22 0:25 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
31 30 0:26 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory
32 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:10 - cgroup cgroup rw,cpu,cpuacct
33 30 0:28 / /sys/fs/cgroup/unified rw,nosuid shared:11 - cgroup2 cgroup2 rw
40 22 8:2 / /var/lib/my\\040data rw,relatime master:3 - xfs /dev/sdb rw
"""


def test_listening_sockets_of_every_table_are_read() -> None:
    assert list(parsing.sockets(TCP, "tcp")) == [Socket("127.0.0.1", 6443, "2001")]
    assert list(parsing.sockets(TCP6, "tcp")) == [Socket("::", 80, "3001"), Socket("127.0.0.1", 443, "3002")]
    assert list(parsing.sockets(UDP, "udp")) == [Socket("127.0.0.53", 53, "4001")]


def test_mounts_are_read_and_the_one_that_holds_a_path_is_found() -> None:
    mounts = parsing.mounts(MOUNTINFO)

    assert parsing.mount_of("/etc/hosts", mounts) == Mount(
        "/", "ext4", True, frozenset({"rw", "relatime", "errors=remount-ro"})
    )
    assert parsing.mount_of("/var/lib/my data/pods", mounts) == Mount(
        "/var/lib/my data", "xfs", False, frozenset({"rw", "relatime"})
    )
    assert parsing.mount_of("/var/lib/my database", mounts) == mounts[0]
    assert parsing.mount_of("/", []) is None


def test_cgroups_of_each_age_are_told_apart() -> None:
    v2 = "30 22 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n"

    hybrid = parsing.cgroups(parsing.mounts(MOUNTINFO), "")
    assert hybrid.version == "hybrid"
    assert {"memory", "cpu", "cpuacct"} <= hybrid.controllers
    assert parsing.cgroups(parsing.mounts(v2), "cpuset cpu io memory pids\n") == Cgroups(
        "v2",
        frozenset({"cpuset", "cpu", "io", "memory", "pids"}),
    )
    assert parsing.cgroups([], "") == Cgroups("", frozenset())


def test_versions_are_found_in_what_programs_print() -> None:
    said = {
        "git version 2.39.5": (2, 39),
        "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/": (2, 6),
        "HA-Proxy version 1.8.27-493ce0b 2020/11/06": (1, 8),
        "iptables v1.8.9 (nf_tables)": (1, 8),
        "6.18.44-fc-v669": (6, 18),
        "1.41": (1, 41),
        "sh: not found": None,
        "": None,
    }

    assert {text: parsing.version_in(text) for text in said} == said


def test_what_an_engine_says_is_read_and_what_it_leaves_out_is_no_error() -> None:
    info = {
        "ServerVersion": "28.2.2",
        "Driver": "overlay2",
        "LiveRestoreEnabled": True,
        "Warnings": ["WARNING: No swap limit support"],
    }

    full = parsing.engine("unix:///x", {"ApiVersion": "1.50"}, info)

    assert (full.version, full.api_version, full.live_restore) == ("28.2.2", (1, 50), True)
    assert full.warnings == ("No swap limit support",)
    assert parsing.engine("unix:///x", {}, {"Warnings": None, "SecurityOptions": None}).api_version == (0, 0)


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    list(parsing.sockets("header\n" + text, "tcp"))
    mounts = parsing.mounts(text)
    parsing.mount_of(text, mounts)
    parsing.cgroups(mounts, text)
    parsing.version_in(text)


@given(st.lists(st.tuples(st.ip_addresses(), st.integers(0, 65_535), st.integers(1, 1 << 40))))
def test_every_socket_that_the_kernel_could_show_is_read_back(rows: list[tuple[object, int, int]]) -> None:
    lines, wanted = ["header"], []
    for address, port, inode in rows:
        family = socket.AF_INET6 if ":" in str(address) else socket.AF_INET
        packed = socket.inet_pton(family, str(address))
        spelt = b"".join(packed[at : at + 4][::-1] for at in range(0, len(packed), 4)).hex().upper()
        lines.append(f" 0: {spelt}:{port:04X} 0:0 0A 0:0 0:0 0 0 0 {inode} 1 0")
        if packed[:12] == b"\0" * 10 + b"\xff\xff":
            address = socket.inet_ntop(socket.AF_INET, packed[12:])
        wanted.append(Socket(str(address), port, str(inode)))

    assert [(one.address, one.port, one.inode) for one in parsing.sockets("\n".join(lines), "tcp")] == [
        (
            socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, one.address))
            if ":" in one.address
            else one.address,
            one.port,
            one.inode,
        )
        for one in wanted
    ]


@given(
    st.lists(st.sampled_from(["/", "/a", "/a/b", "/a/b/c", "/ab"]), min_size=1),
    st.sampled_from(["/a/b/x", "/ab", "/a", "/x"]),
)
def test_the_mount_that_holds_a_path_is_the_longest_and_the_last(points: list[str], path: str) -> None:
    mounts = [Mount(point, str(number), False, frozenset()) for number, point in enumerate(points)]

    found = parsing.mount_of(path, mounts)

    holding = [one for one in mounts if path == one.point or path.startswith(one.point.rstrip("/") + "/")]
    assert found == (max(holding, key=lambda one: (len(one.point), int(one.kind))) if holding else None)
