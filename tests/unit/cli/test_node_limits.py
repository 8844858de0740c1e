"""From the flags that bound a node to what its agent does by them."""

from pathlib import Path
from typing import Any

import pytest

from agent.settings import NodeSettings, read_config, write_config
from agent.wiring import relief_of
from gitops.cli.node_limits import limits_of
from gitops.cli.settings import AgentSettings
from gitops.cli.usage import WrongUsage
from gitops.client import Credentials
from gitops.kinds.sensitive import Sensitive


def told(tmp_path: Path, **flags: Any) -> AgentSettings:
    return AgentSettings(
        **{
            "master": "https://m:6443",
            "join": "",
            "data_dir": tmp_path,
            "node_name": "n1",
            "node_ip": "",
            "overlay": "auto",
            "ingress_http": "",
            "ingress_https": "",
            **flags,
        }
    )


def test_what_is_told_reaches_the_agents_process_through_its_file(tmp_path: Path) -> None:
    flags = {
        "eviction_soft": "memory.available<1Gi,nodefs.inodesFree<10%",
        "eviction_soft_grace_period": "memory.available=90s,nodefs.inodesFree=5m",
        "pod_grace_max_seconds": 20.0,
        "system_reserved": "cpu=200m",
        "kube_reserved": "memory=1Gi",
        "pod_max_pids": 100,
    }
    limits = limits_of(told(tmp_path, **flags))
    settings = NodeSettings(
        "n1", "0a1b2c3d", tmp_path, "10.77.0.0/16", "10.78.0.0/16", "", "", "unix:///x", limits=limits
    )

    path = write_config(settings, Credentials("https://m:6443", b"ca", b"cert", Sensitive("key")))
    read, _ = read_config(path)

    assert read == settings
    assert read.limits.soft_grace_seconds == {"memory.available": 90.0, "nodefs.inodesFree": 300.0}
    assert (read.limits.system_reserved, read.limits.kube_reserved) == ("cpu=200m", "memory=1Gi")
    assert read.limits.pids_max == 100
    assert relief_of(read).conditions() == frozenset()


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no grace period": (
        {"eviction_soft": "memory.available<1Gi"},
        "--eviction-soft-grace-period: a grace period must be specified for the soft threshold memory.available",
    ),
    "a grace period that is none": (
        {"eviction_soft": "memory.available<1Gi", "eviction_soft_grace_period": "memory.available=soon"},
        "--eviction-soft-grace-period: found 'soon', wanted a duration such as 30s, 5m or 1h",
    ),
    "a reservation of nothing known": (
        {"kube_reserved": "gpu=1"},
        "--kube-reserved: found 'gpu', wanted one of cpu, memory, ephemeral-storage",
    ),
    "bounds that contradict each other": (
        {"image_gc_low": 90},
        "--image-gc-low: found 90, wanted less than --image-gc-high (85)",
    ),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_told_before_anything_runs(tmp_path: Path, case: tuple[dict[str, Any], str]) -> None:
    flags, why = case

    with pytest.raises(WrongUsage) as refused:
        limits_of(told(tmp_path, **flags))

    assert str(refused.value) == why
