"""What an operator may set of how a node uses what it has, and of its registries. One value for `up` and `agent`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from agent.runtime.protocol import PIDS_MAX
from agent.thresholds import EVICTION_HARD, PRESSURE_SECONDS

IMAGE_GC_HIGH_PERCENT: Final = 85  # The kubelet's.
IMAGE_GC_LOW_PERCENT: Final = 80


@dataclass(frozen=True, slots=True)
class NodeLimits:
    """`docker_config`: a file with logins for registries, as Docker's config.json; '': none."""

    docker_config: str = ""
    image_gc_high_percent: int = IMAGE_GC_HIGH_PERCENT
    image_gc_low_percent: int = IMAGE_GC_LOW_PERCENT
    eviction_hard: str = EVICTION_HARD  # As `agent.thresholds` reads it.
    pressure_seconds: float = PRESSURE_SECONDS
    eviction_soft: str = ""
    soft_grace_seconds: Mapping[str, float] = field(default_factory=dict)  # By signal, of each soft one.
    pod_grace_max_seconds: float = 0  # Of a pod that goes for a soft one.
    system_reserved: str = ""  # As `agent.reservations` reads it.
    kube_reserved: str = ""
    pids_max: int = PIDS_MAX  # Of each container.


DEFAULT: Final = NodeLimits()
