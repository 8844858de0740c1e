"""What an operator may set of how a node uses its disk and its registries. One value for `up` and `agent`."""

from dataclasses import dataclass
from typing import Final

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


DEFAULT: Final = NodeLimits()
