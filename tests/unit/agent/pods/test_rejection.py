"""What a node refuses to run."""

from typing import Any

import pytest

from agent.pods.machine import step
from agent.pods.observed import PodObserved
from agent.pods.rejection import rejection
from tests.agent_world import a_pod
from tests.unit.agent.pods.states import APP, NOW, a_state, with_states


def with_sysctl(name: str, **spec: Any) -> Any:
    return a_pod(containers=[APP], securityContext={"sysctls": [{"name": name, "value": "1"}]}, **spec)


@pytest.mark.parametrize(
    ("name", "spec", "message"),
    [
        ("kernel.shm_rmid_forced", {}, None),
        ("net.ipv4.tcp_rmem", {}, None),
        ("net/ipv4/ip_unprivileged_port_start", {}, None),
        ("kernel.msgmax", {}, 'forbidden sysctl: "kernel.msgmax" not allowlisted'),
        ("net.core.somaxconn", {}, 'forbidden sysctl: "net.core.somaxconn" not allowlisted'),
        (
            "net.ipv4.tcp_rmem",
            {"hostNetwork": True},
            'forbidden sysctl: "net.ipv4.tcp_rmem" not allowed with host net enabled',
        ),
        (
            "kernel.shm_rmid_forced",
            {"hostIPC": True},
            'forbidden sysctl: "kernel.shm_rmid_forced" not allowed with host ipc enabled',
        ),
    ],
)
def test_sysctls(name: str, spec: dict[str, Any], message: str | None) -> None:
    refused = rejection(with_sysctl(name, **spec))

    assert (refused.message if refused else None) == message


def test_a_refused_pod_fails_before_anything_is_made() -> None:
    actions = step(with_sysctl("kernel.msgmax"), PodObserved(), NOW)

    assert actions.do == ()
    assert actions.status is not None
    assert (actions.status["phase"], actions.status["reason"], actions.status["message"]) == (
        "Failed",
        "SysctlForbidden",
        'Pod was rejected: forbidden sysctl: "kernel.msgmax" not allowlisted',
    )


def test_a_pod_that_runs_already_is_not_refused_by_a_newer_agent() -> None:
    actions = step(with_sysctl("kernel.msgmax"), with_states(a_state()), NOW)

    assert actions.do == ()
    assert actions.status is not None
    assert actions.status["phase"] == "Running"
