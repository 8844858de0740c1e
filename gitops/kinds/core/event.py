"""Event (core/v1): what happened to an object, for people. Source: Kubernetes API reference 1.35."""

from typing import Final, NotRequired, TypedDict

from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject


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


EVENT: Final[Kind[Event]] = Kind(
    "v1",
    "Event",
    "events",
    short=("ev",),
    shape=Event,
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
