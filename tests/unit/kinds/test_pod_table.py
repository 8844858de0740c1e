"""A pod's row in `kubectl get pods`, and ages, as Kubernetes' printers write them."""

from datetime import timedelta
from typing import Any

import pytest

from gitops.kinds.core.pod import POD
from gitops.kinds.tables import duration
from tests.unit.kinds.objects import NOW, a_container, a_pod

RUNNING = {"running": {"startedAt": "2026-01-01T11:00:00Z"}}
DONE = {"terminated": {"exitCode": 0, "reason": "Completed"}}


def a_status(state: dict[str, Any], name: str = "web", **fields: object) -> dict[str, Any]:
    return {
        "name": name,
        "image": "i",
        "imageID": "",
        "ready": state is RUNNING,
        "restartCount": 0,
        "state": state,
        **fields,
    }


def waiting(reason: str) -> dict[str, Any]:
    return {"waiting": {"reason": reason}}


INIT = {"initContainers": [a_container(name="a"), a_container(name="b")]}
SIDECAR = {"initContainers": [a_container(name="a", restartPolicy="Always")]}
GOING = {"deletionTimestamp": "2026-01-01T12:00:00Z"}

ROWS: dict[str, tuple[dict[str, Any], tuple[str, str, str]]] = {
    "nothing known yet": ({}, ("0/1", "Pending", "0")),
    "running": (
        {"status": {"phase": "Running", "containerStatuses": [a_status(RUNNING)]}},
        ("1/1", "Running", "0"),
    ),
    "pulling": (
        {"status": {"phase": "Pending", "containerStatuses": [a_status(waiting("ImagePullBackOff"))]}},
        ("0/1", "ImagePullBackOff", "0"),
    ),
    "crashing": (
        {
            "status": {
                "phase": "Running",
                "containerStatuses": [
                    a_status(
                        waiting("CrashLoopBackOff"),
                        restartCount=3,
                        lastState={"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T11:55:00Z"}},
                    )
                ],
            }
        },
        ("0/1", "CrashLoopBackOff", "3 (5m ago)"),
    ),
    "completed": (
        {"status": {"phase": "Succeeded", "containerStatuses": [a_status(DONE)]}},
        ("0/1", "Completed", "0"),
    ),
    "killed by a signal": (
        {
            "status": {
                "phase": "Failed",
                "containerStatuses": [a_status({"terminated": {"exitCode": 137, "signal": 9}})],
            }
        },
        ("0/1", "Signal:9", "0"),
    ),
    "failed without a reason": (
        {"status": {"phase": "Failed", "containerStatuses": [a_status({"terminated": {"exitCode": 3}})]}},
        ("0/1", "ExitCode:3", "0"),
    ),
    "evicted": ({"status": {"phase": "Failed", "reason": "Evicted"}}, ("0/1", "Evicted", "0")),
    "first init container runs": (
        {"spec": INIT, "status": {"phase": "Pending", "initContainerStatuses": [a_status(RUNNING, "a")]}},
        ("0/1", "Init:0/2", "0"),
    ),
    "second init container fails": (
        {
            "spec": INIT,
            "status": {
                "phase": "Pending",
                "initContainerStatuses": [
                    a_status(DONE, "a", restartCount=1),
                    a_status({"terminated": {"exitCode": 2, "reason": "Error"}}, "b", restartCount=2),
                ],
            },
        },
        ("0/1", "Init:Error", "3"),
    ),
    "an init container's image": (
        {"spec": INIT, "status": {"initContainerStatuses": [a_status(waiting("ErrImagePull"), "a")]}},
        ("0/1", "Init:ErrImagePull", "0"),
    ),
    "a sidecar counts": (
        {
            "spec": SIDECAR,
            "status": {
                "phase": "Running",
                "initContainerStatuses": [a_status(RUNNING, "a", started=True, restartCount=1)],
                "containerStatuses": [a_status(RUNNING, restartCount=2)],
            },
        },
        ("2/2", "Running", "3"),
    ),
    "one is done, one runs and is not ready as a pod": (
        {
            "spec": {"containers": [a_container(), a_container(name="b")]},
            "status": {"phase": "Running", "containerStatuses": [a_status(DONE), a_status(RUNNING, "b")]},
        },
        ("1/2", "NotReady", "0"),
    ),
    "going": (
        {"meta": GOING, "status": {"phase": "Running", "containerStatuses": [a_status(RUNNING)]}},
        ("1/1", "Terminating", "0"),
    ),
    "gone with its node": (
        {"meta": GOING, "status": {"phase": "Running", "reason": "NodeLost"}},
        ("0/1", "Unknown", "0"),
    ),
    "gated": (
        {
            "status": {
                "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]
            }
        },
        ("0/1", "SchedulingGated", "0"),
    ),
}


@pytest.mark.parametrize(("given", "expected"), ROWS.values(), ids=ROWS.keys())
def test_ready_status_and_restarts(given: dict[str, Any], expected: tuple[str, str, str]) -> None:
    assert POD.cells is not None
    pod = a_pod(status=given.get("status"), meta=given.get("meta"), **given.get("spec", {}))

    assert POD.cells(pod, NOW)[1:4] == expected


def test_a_whole_row_has_a_cell_for_every_column() -> None:
    assert POD.cells is not None
    pod = a_pod(
        nodeName="n1",
        status={"phase": "Running", "podIP": "10.77.0.2", "containerStatuses": [a_status(RUNNING)]},
    )

    row = dict(zip((column.name for column in POD.columns), POD.cells(pod, NOW), strict=True))

    assert row == {
        "Name": "web",
        "Ready": "1/1",
        "Status": "Running",
        "Restarts": "0",
        "Age": "60m",
        "IP": "10.77.0.2",
        "Node": "n1",
        "Nominated Node": "<none>",
        "Readiness Gates": "<none>",
    }


DAY = 86_400
AGES = {
    -5: "<invalid>",
    -1: "0s",
    0: "0s",
    119: "119s",
    120: "2m",
    185: "3m5s",
    599: "9m59s",
    600: "10m",
    10_799: "179m",
    10_800: "3h",
    10_860: "3h1m",
    28_800: "8h",
    172_799: "47h",
    172_800: "2d",
    176_400: "2d1h",
    8 * DAY: "8d",
    729 * DAY: "729d",
    730 * DAY: "2y",
    731 * DAY: "2y1d",
    2920 * DAY: "8y",
    2921 * DAY: "8y",
}


@pytest.mark.parametrize(("seconds", "shown"), AGES.items())
def test_an_age_has_at_most_two_units(seconds: int, shown: str) -> None:
    assert duration(timedelta(seconds=seconds)) == shown
