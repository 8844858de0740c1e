"""What the rows of `kubectl get` are made of: columns, ages, and texts that several kinds share.

Source: Kubernetes, pkg/printers/internalversion; ages: apimachinery's `duration.HumanDuration`.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from gitops.kinds.core.containers import Container
from gitops.kinds.kind import Cell, Column
from gitops.kinds.objects import KubeObject, moment_of

UNKNOWN: Final = "<unknown>"
NONE: Final = "<none>"
LISTED_MAX: Final = 3  # Of hosts, ports, addresses: the rest is counted.


def columns(*names: str, wide: Iterable[str] = (), numbers: Iterable[str] = ()) -> tuple[Column, ...]:
    """Columns of text, with `numbers` among them, followed by those that only `-o wide` shows."""
    integers = frozenset(numbers)
    shown = [(name, 0) for name in names] + [(name, 1) for name in wide]
    return tuple(
        Column(
            name, "integer" if name in integers else "string", "name" if name == "Name" else "", "", priority
        )
        for name, priority in shown
    )


def age(since: str | None, now: datetime) -> str:
    """How long ago a timestamp was, as kubectl writes it; `<unknown>` if there is none."""
    return duration(now - moment_of(since)) if since else UNKNOWN


def age_of(obj: KubeObject, now: datetime) -> str:
    return age(obj["metadata"].get("creationTimestamp"), now)


def name_of(obj: KubeObject) -> str:
    return obj["metadata"].get("name", "")


def duration(span: timedelta) -> str:
    """`45s`, `3m5s`, `47m`, `5h12m`, `30h`, `4d3h`, `120d`, `3y20d`: two units at most, a zero one left out."""
    seconds = int(span.total_seconds())
    if seconds < -1:
        return "<invalid>"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if seconds < 120:
        return f"{max(seconds, 0)}s"
    if minutes < 10:
        return _pair(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _pair(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _pair(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    return _pair(days // 365, "y", days % 365 if days < 2920 else 0, "d")


def _pair(large: int, unit: str, small: int, small_unit: str) -> str:
    return f"{large}{unit}{small}{small_unit}" if small else f"{large}{unit}"


def listed(items: Iterable[str], empty: str) -> str:
    """The first three, and how many more."""
    all_items = list(items)
    more = f" + {len(all_items) - LISTED_MAX} more..." if len(all_items) > LISTED_MAX else ""
    return ",".join(all_items[:LISTED_MAX]) + more or empty


def labels_text(labels: Mapping[str, str] | None) -> str:
    """`a=b,c=d`, sorted; `<none>` for none."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


def containers_text(containers: Iterable[Container]) -> tuple[str, str]:
    """Names and images of a template's containers."""
    all_containers = list(containers)
    names = ",".join(container.get("name", "") for container in all_containers)
    return names, ",".join(container.get("image", "") for container in all_containers)


Row = tuple[Cell, ...]
