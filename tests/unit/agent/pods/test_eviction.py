"""Pods that are ended because they use more of the disk than they said."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.pods.eviction import beyond, limits_bytes
from agent.pods.machine import step
from agent.pods.observed import PodObserved
from agent.volumes.disk import used
from tests.agent_world import a_pod
from tests.unit.agent.pods.states import a_state, with_states

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def a_limited(**source: Any) -> Any:
    return a_pod(
        containers=[{"name": "app", "image": "shop:1"}], volumes=[{"name": "work", "emptyDir": source}]
    )


@pytest.mark.parametrize(
    ("source", "used", "why"),
    [
        ({"sizeLimit": "1Mi"}, 1 << 20, ""),
        ({"sizeLimit": "1Mi"}, (1 << 20) + 1, 'Usage of EmptyDir volume "work" exceeds the limit "1Mi". '),
        ({"sizeLimit": "0"}, 5, ""),
        ({}, 1 << 40, ""),
        ({"sizeLimit": "1Mi", "medium": "Memory"}, 1 << 40, ""),
    ],
)
def test_beyond_its_limit(source: dict[str, str], used: int, why: str) -> None:
    assert beyond(a_limited(**source), {"work": used}) == why


def test_only_limits_on_disk_are_measured() -> None:
    assert limits_bytes(a_limited(sizeLimit="1Ki")) == {"work": 1024}
    assert limits_bytes(a_limited(sizeLimit="1Ki", medium="Memory")) == {}


def test_an_evicted_pod_has_failed_with_kubernetes_reason() -> None:
    actions = step(a_limited(), PodObserved(evicted="too much"), NOW)

    assert actions.status is not None
    assert (actions.status["phase"], actions.status["reason"], actions.status["message"]) == (
        "Failed",
        "Evicted",
        "too much",
    )


def test_what_a_directory_takes(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"x" * (1 << 20))
    root = tmp_path / "root"
    (root / "deep").mkdir(parents=True)
    empty = used(root)
    (root / "deep" / "file").write_bytes(b"x" * (256 << 10))
    os.link(root / "deep" / "file", root / "again")
    (root / "link").symlink_to(outside)
    with (root / "sparse").open("wb") as file:
        file.truncate(1 << 30)

    grown = used(root)

    assert 256 << 10 <= grown.size_bytes - empty.size_bytes < 320 << 10
    assert grown.inodes - empty.inodes == 3


def test_an_evicted_pod_gets_no_time_to_end() -> None:
    pod: Any = a_limited()
    pod["spec"]["terminationGracePeriodSeconds"] = 30

    actions = step(pod, with_states(a_state(), evicted="too much"), NOW)

    assert [(type(one).__name__, getattr(one, "grace_seconds", None)) for one in actions.do] == [("Stop", 1)]
