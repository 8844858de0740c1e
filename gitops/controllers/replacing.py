"""What cannot be changed and would have to be deleted and made again: which fields, and what would go with it."""

from collections.abc import Iterator
from typing import Any, Final

from gitops.kinds.core.pod import POD
from gitops.kinds.core.service import SERVICE
from gitops.kinds.kind import Problem
from gitops.kinds.marks import REPLACE
from gitops.kinds.objects import KubeObject, uid
from gitops.reconcile import Reader

NAMES_MAX: Final = 3  # Of each kind that would go.
DEPENDENTS_MAX: Final = 1_000  # Looked at: it is only told.


def cannot_change(view: Reader, live: KubeObject, problems: list[Problem]) -> str:
    """What is told where fields that cannot change have changed: what a recreate means, how to allow it."""
    wrong = ", ".join(f"{one.field}: {one.message}" if one.field else one.message for one in problems)
    return f"{wrong}; recreating it would delete {_loss(view, live)}: annotation {REPLACE}: allowed lets that happen"


def _loss(view: Reader, live: KubeObject) -> str:
    """`the Deployment, 1 ReplicaSet (web-1) and 3 Pods (web-1-a, web-1-b, web-1-c)`."""
    by_kind: dict[str, list[str]] = {}
    for obj in _dependents(view, live):
        by_kind.setdefault(obj["kind"], []).append(obj["metadata"].get("name", ""))
    parts = [f"the {live['kind']}", *(_counted(kind, names) for kind, names in by_kind.items())]
    text = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    if POD.owns(live):
        return f"{text}, which stops its containers"
    if SERVICE.owns(live):
        body: Any = live
        return f"{text}, whose address {body['spec'].get('clusterIP', '')} may then be another"
    return f"{text}, and all its data" if live["kind"].startswith("PersistentVolume") else text


def _counted(kind: str, names: list[str]) -> str:
    shown = ", ".join(names[:NAMES_MAX]) + (", …" if len(names) > NAMES_MAX else "")
    return f"{len(names)} {kind}{'s' if len(names) > 1 else ''} ({shown})"


def _dependents(view: Reader, live: KubeObject) -> Iterator[KubeObject]:
    """Everything that goes when its owner is gone, level by level."""
    owners, seen = [uid(live)], set[str]()
    while owners and len(seen) < DEPENDENTS_MAX:
        found = [obj for owner in owners for obj in view.dependents(owner) if uid(obj) not in seen]
        seen |= {uid(obj) for obj in found}
        yield from found
        owners = [uid(obj) for obj in found]
