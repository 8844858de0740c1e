"""The node's own object, and the file that starts its process."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.limits import NodeLimits
from agent.registration import NodeFacts, node_status
from agent.reservations import kept, reserved
from agent.runtime.protocol import EngineInfo
from agent.settings import NodeSettings, read_config, write_config
from gitops.client import Credentials
from gitops.kinds.core.node import NodeStatus
from gitops.kinds.errors import BadRequest
from gitops.kinds.objects import Condition
from gitops.kinds.sensitive import Sensitive

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ENGINE = EngineInfo("docker", "20.10.24", "1.41", "Debian 12", "6.1", "amd64", 2, 4 << 30)
FACTS = NodeFacts("n1", ENGINE, "192.0.2.1", 10 << 30, "m", "b", kept={"cpu": 250, "memory": 100 << 20})


def ready_of(status: NodeStatus) -> Condition:
    return next(one for one in status["conditions"] if one["type"] == "Ready")


def test_a_node_says_what_it_has_and_what_pods_may_have() -> None:
    status = node_status(FACTS, NodeStatus(), "", NOW)

    assert status["capacity"] == {
        "cpu": "2",
        "memory": "4194304Ki",
        "ephemeral-storage": "10485760Ki",
        "pods": "110",
    }
    assert status["allocatable"]["memory"] == "4091904Ki"
    assert status["addresses"] == [
        {"type": "InternalIP", "address": "192.0.2.1"},
        {"type": "Hostname", "address": "n1"},
    ]
    assert status["nodeInfo"]["containerRuntimeVersion"] == "docker://20.10.24"


def test_a_problem_makes_it_unready_and_times_move_only_then() -> None:
    first = node_status(FACTS, NodeStatus(), "", NOW)
    second = node_status(FACTS, first, "", NOW + timedelta(hours=1))
    third = node_status(FACTS, second, "the engine is away", NOW + timedelta(hours=2))

    assert ready_of(second)["lastTransitionTime"] == "2026-01-01T00:00:00Z"
    assert (ready_of(third)["status"], ready_of(third)["message"]) == ("False", "the engine is away")
    assert ready_of(third)["lastTransitionTime"] == "2026-01-01T02:00:00Z"


def test_the_configuration_of_an_agent_is_written_for_its_owner_alone(tmp_path: Path) -> None:
    credentials = Credentials("https://127.0.0.1:6443", b"ca", b"cert", Sensitive("key"))
    settings = NodeSettings(
        "n1", "0a1b2c3d", tmp_path, "10.77.0.0/16", "10.78.0.0/16", "0.0.0.0:80", "0.0.0.0:443", "unix:///x"
    )

    path = write_config(settings, credentials)
    write_config(settings, credentials)

    assert path.stat().st_mode & 0o777 == 0o600
    assert read_config(path) == (settings, credentials)


def test_a_broken_configuration_is_told_without_its_key(tmp_path: Path) -> None:
    (tmp_path / "n1.json").write_text('{"key": "hush", "node": {}}')

    with pytest.raises(BadRequest) as raised:
        read_config(tmp_path / "n1.json")

    assert "hush" not in str(raised.value)
    assert "url" in str(raised.value)


def test_pressure_is_a_condition_with_the_kubelets_words() -> None:
    status = node_status(FACTS, NodeStatus(), "", NOW, frozenset({"DiskPressure"}))

    told = {one["type"]: (one["status"], one["reason"]) for one in status["conditions"]}
    assert told == {
        "MemoryPressure": ("False", "KubeletHasSufficientMemory"),
        "DiskPressure": ("True", "KubeletHasDiskPressure"),
        "PIDPressure": ("False", "KubeletHasSufficientPID"),
        "Ready": ("True", "KubeletReady"),
    }


CAPACITY = {"cpu": 2000, "memory": 4 << 30, "ephemeral-storage": 100 << 30}


@pytest.mark.parametrize(
    ("limits", "cpu", "memory", "storage"),
    [
        (NodeLimits(), 0, 100 << 20, 10 << 30),
        (NodeLimits(eviction_hard="memory.available<25%"), 0, 1 << 30, 0),
        (NodeLimits(eviction_hard=""), 0, 0, 0),
        (
            NodeLimits(
                eviction_hard="",
                system_reserved="cpu=200m,memory=1Gi",
                kube_reserved=" memory = 500Mi , ephemeral-storage=2Gi,cpu=0.1",
            ),
            300,
            1524 << 20,
            2 << 30,
        ),
    ],
)
def test_what_pods_may_not_have(limits: NodeLimits, cpu: int, memory: int, storage: int) -> None:
    assert kept(limits, CAPACITY) == {"cpu": cpu, "memory": memory, "ephemeral-storage": storage}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("cpu", "found 'cpu', wanted RESOURCE=AMOUNT"),
        ("pid=100", "found 'pid', wanted one of cpu, memory, ephemeral-storage"),
        ("cpu=1,cpu=2", "wanted cpu once"),
        ("memory=1GB", "found '1GB', wanted an amount such as 500Mi"),
        ("memory=-1", "wanted an amount of at least 0"),
    ],
)
def test_a_reservation_that_cannot_be_read_is_refused(text: str, why: str) -> None:
    with pytest.raises(BadRequest) as refused:
        reserved(text, "--system-reserved")

    assert str(refused.value).startswith("--system-reserved: ")
    assert why in str(refused.value)


@given(st.text(max_size=60))
def test_any_reservation_is_read_or_refused(text: str) -> None:
    try:
        found = reserved(text, "--kube-reserved")
    except BadRequest:
        return
    assert all(amount >= 0 for amount in found.values())


def test_a_node_never_has_less_than_nothing() -> None:
    facts = replace(FACTS, kept={"cpu": 99_000, "memory": 1 << 60, "ephemeral-storage": 1 << 60})

    assert facts.allocatable == {**facts.capacity, "cpu": "0", "memory": "0Ki", "ephemeral-storage": "0Ki"}
