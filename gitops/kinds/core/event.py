"""Event (core/v1): what happened to an object, for people. Source: Kubernetes API reference 1.35."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, NotRequired, TypedDict

from gitops.kinds import wording
from gitops.kinds.kind import Kind, Problem
from gitops.kinds.objects import KubeObject
from gitops.kinds.tables import UNKNOWN, Row, age, columns, name_of


class ObjectReference(TypedDict):
    apiVersion: NotRequired[str]
    kind: NotRequired[str]
    namespace: NotRequired[str]
    name: NotRequired[str]
    uid: NotRequired[str]
    resourceVersion: NotRequired[str]
    fieldPath: NotRequired[str]


class EventSource(TypedDict):
    component: NotRequired[str]
    host: NotRequired[str]


class EventSeries(TypedDict):
    count: NotRequired[int]
    lastObservedTime: NotRequired[str]


class Event(KubeObject):
    involvedObject: ObjectReference
    reason: NotRequired[str]
    message: NotRequired[str]
    type: NotRequired[str]  # Normal or Warning.
    source: NotRequired[EventSource]
    count: NotRequired[int]
    firstTimestamp: NotRequired[str | None]
    lastTimestamp: NotRequired[str | None]
    eventTime: NotRequired[str | None]
    action: NotRequired[str]
    related: NotRequired[ObjectReference]
    series: NotRequired[EventSeries]
    reportingComponent: NotRequired[str]
    reportingInstance: NotRequired[str]


def check_event(event: Event) -> Iterator[Problem]:
    """An event lies in its object's namespace, that of a cluster's object in default."""
    namespace = event["metadata"].get("namespace", "")
    about = event["involvedObject"].get("namespace", "")
    if namespace != (about or namespace) or (not about and namespace not in ("default", "kube-system")):
        yield wording.invalid("involvedObject.namespace", about, "does not match event.namespace")


def _cells(event: Event, now: datetime) -> Row:
    first = age(event.get("firstTimestamp") or event.get("eventTime"), now)
    last = age(event.get("lastTimestamp"), now)
    count = event.get("count") or 1
    if (series := event.get("series")) is not None:
        last, count = age(series.get("lastObservedTime"), now), series.get("count", count)
    about, source = event["involvedObject"], event.get("source") or EventSource()
    target = about.get("kind", "").lower()
    component = source.get("component") or event.get("reportingComponent") or ""
    return (
        first if last == UNKNOWN else last,
        event.get("type", ""),
        event.get("reason", ""),
        f"{target}/{about['name']}" if about.get("name") else target,
        about.get("fieldPath", ""),
        ", ".join(part for part in (component, source.get("host", "")) if part),
        event.get("message", "").strip(),
        first,
        count,
        name_of(event),
    )


_WIDE: Final = ("Subobject", "Source", "First Seen", "Count", "Name")
_COLUMNS: Final = tuple(
    column._replace(priority=1 if column.name in _WIDE else 0)
    for column in columns(
        *(
            "Last Seen",
            "Type",
            "Reason",
            "Object",
            "Subobject",
            "Source",
            "Message",
            "First Seen",
            "Count",
            "Name",
        ),
        numbers=["Count"],
    )
)

EVENT: Final[Kind[Event]] = Kind(
    "v1",
    "Event",
    "events",
    short=("ev",),
    shape=Event,
    check=check_event,
    columns=_COLUMNS,
    cells=_cells,
    field_selectors=(
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
)
