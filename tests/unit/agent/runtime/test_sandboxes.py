"""Which sandboxes make their network themselves, what the engine is asked for then, and when they may be wired."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.runtime.docker_answers import container_state
from agent.runtime.docker_requests import sandbox_body
from agent.runtime.docker_sandboxes import may_unshare
from agent.runtime.protocol import EngineInfo, SandboxSpec
from agent.runtime.unshared import is_unshared, path_of
from gitops.kinds.errors import Invalid

SECCOMP = "name=seccomp,profile=default"


def an_engine(version: str, *security: str, runtime: str = "runc") -> EngineInfo:
    return EngineInfo(
        "docker", version, "1.41", "Debian", "6.1", "amd64", 2, 4 << 30, security, default_runtime=runtime
    )


ENGINES = {
    "an old one": (an_engine("20.10.24+dfsg1", SECCOMP), True),
    "the last with the hook": (an_engine("27.5.1", SECCOMP), True),
    "one without the hook": (an_engine("28.0.0", SECCOMP), False),
    "one that maps users, which excludes the host's network": (an_engine("20.10.24", "name=userns"), False),
    "one without root": (an_engine("24.0.7", "name=rootless"), False),
    "one whose containers are virtual machines": (an_engine("24.0.7", runtime="kata"), False),
    "one that does not say its version": (an_engine("dev"), False),
}


@pytest.mark.parametrize(("engine", "does"), ENGINES.values(), ids=ENGINES.keys())
def test_a_sandbox_makes_its_network_where_the_engine_takes_longer_and_allows_it(
    engine: EngineInfo, does: bool
) -> None:
    assert may_unshare(engine) is does


SPEC = SandboxSpec(
    "uid-1", "web", "shop", "web-1", sysctls={"net.core.somaxconn": "9", "kernel.shm_rmid_forced": "1"}
)


def test_the_engine_lets_it_begin_in_the_hosts_network_with_what_it_needs_to_leave() -> None:
    body = sandbox_body("c1", SPEC, "pause", unshares=True)
    host = body["HostConfig"]

    assert (body["Hostname"], body["Cmd"], body["User"]) == ("web-1", ["unshare"], "0:0")
    assert (host["NetworkMode"], host["CapDrop"]) == ("host", ["ALL"])
    assert host["CapAdd"] == ["SYS_ADMIN", "SETUID", "SETGID"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["Sysctls"] == {"kernel.shm_rmid_forced": "1"}


def test_one_that_the_engine_wires_has_no_rights_at_all() -> None:
    body = sandbox_body("c1", SPEC, "pause")

    assert (body["HostConfig"]["NetworkMode"], body["HostConfig"]["CapDrop"]) == ("none", ["ALL"])
    assert "CapAdd" not in body["HostConfig"]
    assert "Cmd" not in body
    assert body["HostConfig"]["Sysctls"] == SPEC.sysctls


def a_process(proc: Path, uid: int, network: int) -> int:
    (proc / "self/ns").mkdir(parents=True)
    (proc / "self/ns/net").symlink_to("net:[1]")
    (proc / "7/ns").mkdir(parents=True)
    (proc / "7/ns/net").symlink_to(f"net:[{network}]")
    (proc / "7/status").write_text(f"Name:\tpause\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t0\t0\t0\t0\n")
    return 7


@pytest.mark.parametrize(
    ("uid", "network", "has_left"),
    [(65535, 2, True), (0, 2, False), (0, 1, False), (65535, 1, False)],
    ids=["it has left for good", "elsewhere, and still root", "not yet", "as if, in the node's network"],
)
def test_it_is_wired_only_when_it_has_left_for_good(
    tmp_path: Path, uid: int, network: int, has_left: bool
) -> None:
    assert is_unshared(a_process(tmp_path, uid, network), tmp_path) is has_left


def test_a_sysctl_is_named_with_dots_or_with_slashes() -> None:
    assert path_of("net.core.somaxconn") == Path("/proc/sys/net/core/somaxconn")
    assert path_of("net/ipv4/conf/eth0.1/rp_filter") == Path("/proc/sys/net/ipv4/conf/eth0.1/rp_filter")
    assert path_of("net.ipv4.conf.eth0/1.rp_filter") == Path("/proc/sys/net/ipv4/conf/eth0.1/rp_filter")


@given(st.one_of(st.text(), st.from_regex(r"net([./][a-z.]*){0,4}", fullmatch=True)))
def test_no_sysctl_of_another_kind_is_ever_written(name: str) -> None:
    try:
        path = path_of(name)
    except Invalid:
        return
    assert path.is_relative_to("/proc/sys/net")
    assert ".." not in path.parts


def an_answer(runtime: str, stop_signal: str | None) -> dict[str, object]:
    config = {"Labels": {}, **({"StopSignal": stop_signal} if stop_signal is not None else {})}
    never = "0001-01-01T00:00:00Z"
    state = {"Status": "running", "Error": "", "Pid": 7, "ExitCode": 0, "OOMKilled": False}
    return {
        "Id": "a" * 64, "Name": "/x", "Created": "2026-01-01T00:00:00Z", "Image": "sha256:1", "Config": config,
        "State": {**state, "StartedAt": "2026-01-01T00:00:00Z", "FinishedAt": never},
        "HostConfig": {"Runtime": runtime},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("runtime", "stop_signal", "is_plain"),
    [("runc", None, True), ("runc", "SIGTERM", True), ("runc", "SIGQUIT", False), ("runsc", None, False)],
    ids=["as most", "said in words", "its image wants another signal", "its process is not the runtime's"],
)
def test_what_a_signal_of_ours_may_end(runtime: str, stop_signal: str | None, is_plain: bool) -> None:
    assert container_state(an_answer(runtime, stop_signal)).is_plain is is_plain
