"""Kinds that the API also serves in another version or group than the one that is stored: what a client writes there is
taken as the stored one, and shown back in its own words. Git knows only stored ones (see `versions.py`).

What a version has no field for stays as it is when that version is written: further metrics of an autoscaler, say.
Source: Kubernetes, pkg/apis/autoscaling/v1/conversion.go, pkg/apis/core/v1/conversion.go and pkg/apis/core/validation
(events.go), 1.35. Unlike there, autoscaling/v1 does not show what it has no fields for in annotations.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, cast

from gitops.kinds import names, registry, versions, wording
from gitops.kinds.core.event import EVENT
from gitops.kinds.errors import Invalid
from gitops.kinds.kind import Kind, Problem
from gitops.kinds.objects import KubeObject

Json = dict[str, Any]
NOTE_CHARACTERS_MAX: Final = 1_024
INSTANCE_CHARACTERS_MAX: Final = 128


class AlsoServed(NamedTuple):
    """`kind`: its names, version and group at its URLs. `fields`: of field selectors, by their names in `stored`."""

    kind: Kind[Any]
    stored: Kind[Any]
    show: Callable[[KubeObject], KubeObject]
    take: Callable[
        [KubeObject, KubeObject | None], KubeObject
    ]  # What was written, and what it replaces. Raises Invalid.
    fields: Mapping[str, str]


def find_resource(group: str, version: str, plural: str) -> AlsoServed | None:
    """`find_resource("autoscaling", "v1", "horizontalpodautoscalers")`."""
    return _BY_URL.get((group, version, plural))


def _refused(obj: KubeObject, problems: Iterator[Problem]) -> None:
    """Raises Invalid if there are any."""
    if found := [(one.field, one.message.removeprefix(f"{one.field}: ")) for one in problems]:
        told = ", ".join(f"{field}: {message}" for field, message in found)
        raise Invalid(f'{obj["kind"]} "{obj["metadata"].get("name", "")}" is invalid: {told}', tuple(found))


def _hpa_as_v1(stored: KubeObject) -> KubeObject:
    hpa = cast(Json, stored)
    spec = {
        name: value for name, value in (hpa.get("spec") or {}).items() if name not in ("metrics", "behavior")
    }
    for metric in (hpa.get("spec") or {}).get("metrics") or ():
        if _is_cpu(metric):
            spec["targetCPUUtilizationPercentage"] = metric["resource"]["target"]["averageUtilization"]
    shown = {**hpa, "apiVersion": versions.HPA_V1, "spec": spec}
    if (status := hpa.get("status")) is not None:
        kept = {name: value for name, value in status.items() if name not in ("currentMetrics", "conditions")}
        for metric in status.get("currentMetrics") or ():
            if _is_cpu(metric, "current"):
                kept["currentCPUUtilizationPercentage"] = metric["resource"]["current"]["averageUtilization"]
        shown["status"] = kept
    return cast(KubeObject, shown)


def _hpa_of_v1(written: KubeObject, old: KubeObject | None) -> KubeObject:
    _refused(written, versions.problems_of(written))
    made, before = cast(Json, versions.as_served(written)), cast(Json, old or {})
    spec, had = made.get("spec"), before.get("spec") or {}
    if isinstance(spec, Mapping):
        metrics = _among(had.get("metrics") or (), spec.get("metrics") or (), "target")
        kept = {"behavior": had["behavior"]} if "behavior" in had else {}
        made = {**made, "spec": {**spec, **kept, **({"metrics": metrics} if metrics else {})}}
    if isinstance(status := made.get("status"), Mapping):
        made = {**made, "status": _status_of_v1(status, before.get("status") or {})}
    return cast(KubeObject, made)


def _status_of_v1(status: Mapping[str, Any], had: Mapping[str, Any]) -> Json:
    kept = {name: value for name, value in status.items() if name != "currentCPUUtilizationPercentage"}
    cpu: list[Json] = []
    if (current := status.get("currentCPUUtilizationPercentage")) is not None:
        cpu = [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": current}}}]
    metrics = _among(had.get("currentMetrics") or (), cpu, "current")
    conditions = {"conditions": had["conditions"]} if "conditions" in had else {}
    return {**kept, **conditions, **({"currentMetrics": metrics} if metrics else {})}


def _among(had: Sequence[Json], cpu: Sequence[Json], part: str) -> list[Json]:
    """The metrics that there were, with that of the processor replaced where it stood, or before all others."""
    others = [metric for metric in had if not _is_cpu(metric, part)]
    place = next((index for index, metric in enumerate(had) if _is_cpu(metric, part)), 0)
    if cpu and len(others) < len(had) and _share(had[place], part) == _share(cpu[0], part):
        cpu = [had[place]]  # With what else it says: its average value.
    return [*others[:place], *cpu, *others[place:]]


def _share(metric: Json, part: str) -> object:
    return metric["resource"][part]["averageUtilization"]


def _is_cpu(metric: Any, part: str = "target") -> bool:
    """The one metric that autoscaling/v1 has a field for: the share of its requests that a pod's processor time is."""
    resource = metric.get("resource") if isinstance(metric, Mapping) else None
    found = resource.get(part) if isinstance(resource, Mapping) and resource.get("name") == "cpu" else None
    return isinstance(found, Mapping) and found.get("averageUtilization") is not None


EVENTS_V1: Final = "events.k8s.io/v1"
_EVENT_FIELDS: Final = {  # Its name there -> in core/v1.
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_EVENT_NAMES: Final = {core: name for name, core in _EVENT_FIELDS.items()}


def _event_as_v1(stored: KubeObject) -> KubeObject:
    shown = {_EVENT_NAMES.get(name, name): value for name, value in cast(Json, stored).items()}
    return cast(KubeObject, {**shown, "apiVersion": EVENTS_V1})


def _event_of_v1(written: KubeObject, old: KubeObject | None) -> KubeObject:
    if old is None:
        _refused(written, _check_new_event(cast(Json, written)))
    taken = {_EVENT_FIELDS.get(name, name): value for name, value in cast(Json, written).items()}
    taken.setdefault("involvedObject", {})  # Required in core/v1, not here.
    return cast(KubeObject, {**taken, "apiVersion": EVENT.api_version})


def _check_new_event(event: Json) -> Iterator[Problem]:
    """What only this group asks of those who write events."""
    for field in ("eventTime", "reportingController", "reportingInstance", "action", "reason"):
        if not event.get(field):
            yield wording.required(field)
    controller, instance = event.get("reportingController"), event.get("reportingInstance")
    if isinstance(controller, str) and controller and (wrong := names.qualified_name(controller)):
        yield wording.invalid("reportingController", controller, wrong)
    if isinstance(instance, str) and len(instance) > INSTANCE_CHARACTERS_MAX:
        why = f"can have at most {INSTANCE_CHARACTERS_MAX} characters"
        yield wording.invalid("reportingInstance", instance, why)
    if event.get("type") not in ("Normal", "Warning"):
        yield wording.invalid("type", event.get("type", ""), "has invalid value")
    if isinstance(note := event.get("note"), str) and len(note) > NOTE_CHARACTERS_MAX:
        yield wording.invalid("note", "", f"can have at most {NOTE_CHARACTERS_MAX} characters")


_HPA: Final = registry.find("autoscaling", "HorizontalPodAutoscaler")
assert _HPA is not None
ALSO_SERVED: Final = (
    AlsoServed(replace(_HPA, api_version=versions.HPA_V1), _HPA, _hpa_as_v1, _hpa_of_v1, {}),
    AlsoServed(
        replace(EVENT, api_version=EVENTS_V1),
        EVENT,
        _event_as_v1,
        _event_of_v1,
        {"regarding": "involvedObject", "reportingController": "reportingComponent"},
    ),
)
_BY_URL: Final = {(one.kind.group, one.kind.version, one.kind.plural): one for one in ALSO_SERVED}
