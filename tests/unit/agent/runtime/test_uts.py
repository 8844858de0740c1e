"""Where a container's cgroup is, by that of its sandbox."""

from agent.runtime.uts import cgroup_of

SANDBOX, APP = "5" * 64, "a" * 64


def test_version_1_puts_it_below_the_controller_of_processes() -> None:
    text = f"12:cpu,cpuacct:/docker/{SANDBOX}\n5:pids:/docker/{SANDBOX}\n1:name=systemd:/docker/{SANDBOX}\n"

    assert cgroup_of(text, SANDBOX, APP) == f"pids/docker/{APP}"


def test_version_2_with_the_systemd_driver_names_it_in_a_scope() -> None:
    text = f"0::/system.slice/docker-{SANDBOX}.scope\n"

    assert cgroup_of(text, SANDBOX, APP) == f"system.slice/docker-{APP}.scope"


def test_a_cgroup_that_does_not_name_the_sandbox_tells_nothing() -> None:
    assert cgroup_of("0::/\n", SANDBOX, APP) == ""
