"""From `EventNote` to Event objects. Equal notes about one object are one Event that counts.

Source: client-go's event correlator. Here the name is a digest of what is equal, so finding the earlier one needs no
cache and works across restarts.
"""

from datetime import datetime
from hashlib import blake2b
from typing import Final, cast

from gitops.kinds import names
from gitops.kinds.core.event import EVENT, Event, ObjectReference
from gitops.kinds.core.namespace import NAMESPACE
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, is_going, timestamp, uid
from gitops.reconcile import COMBINED, EventNote, Reader

CLUSTER_EVENTS_NAMESPACE: Final = (
    "default"  # Where Kubernetes keeps events about objects without a namespace.
)
DIGEST_BYTES: Final = 8


def event_for(view: Reader, note: EventNote, component: str, now: datetime) -> Event | None:
    """The Event to be put: a new one, or the earlier equal one counted up. None: its namespace is gone or going."""
    meta = note.about["metadata"]
    namespace = meta.get("namespace") or CLUSTER_EVENTS_NAMESPACE
    place = view.get(NAMESPACE, NAMESPACE.key("", namespace))
    if place is None or is_going(place):
        return None
    name = _name(note, _digest(note, component))
    earlier = view.get(EVENT, EVENT.key(namespace, name))
    if earlier is not None:
        counted = {
            **earlier,
            "count": (earlier.get("count") or 1) + 1,
            "lastTimestamp": timestamp(now),
            "message": note.message,
        }
        return cast(Event, counted)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": _reference(note.about),
        "reason": note.reason,
        "message": note.message,
        "type": note.type,
        "source": {"component": component},
        "count": 1,
        "firstTimestamp": timestamp(now),
        "lastTimestamp": timestamp(now),
        "reportingComponent": component,
        "reportingInstance": "",
    }


def event_key(event: Event) -> Key:
    meta = event["metadata"]
    return EVENT.key(meta.get("namespace", ""), meta.get("name", ""))


def _name(note: EventNote, digest: str) -> str:
    """Begins with the object's name, where that leaves room and may stand in an Event's: RBAC's may hold colons."""
    name = f"{note.about['metadata'].get('name', '')}.{digest}"
    return name if names.dns_subdomain(name) is None else f"{note.about['kind'].lower()}.{digest}"


def _digest(note: EventNote, component: str) -> str:
    message = COMBINED if note.message.startswith(COMBINED) else note.message
    parts = (uid(note.about), note.about["kind"], note.type, note.reason, message, component)
    return blake2b("\0".join(parts).encode(), digest_size=DIGEST_BYTES).hexdigest()


def _reference(about: KubeObject) -> ObjectReference:
    meta = about["metadata"]
    reference: ObjectReference = {
        "apiVersion": about["apiVersion"],
        "kind": about["kind"],
        "name": meta.get("name", ""),
        "uid": uid(about),
        "resourceVersion": meta.get("resourceVersion", ""),
    }
    if "namespace" in meta:
        reference["namespace"] = meta["namespace"]
    return reference
