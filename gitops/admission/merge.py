"""Server-side apply: what a manifest states becomes part of an object that others write too.

`managedFields` says who stated which field. Applying sets what is stated, removes what the same manager stated before
and does not any more unless someone else owns it, and leaves everything else alone. Pure; imports kinds only, so that
the API and the controller `apply` share it. Source: Kubernetes, "Server-Side Apply"; sigs.k8s.io/structured-merge-diff
(`merge/update.go`). Not here: defaults and rules, which admission adds afterwards.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, cast

from gitops.admission.fields import (
    NONE,
    UNOWNED,
    FieldSet,
    Path,
    Values,
    decode,
    duplicates,
    elements,
    encode,
    is_associative,
    prefixes,
    shown,
    values_of,
)
from gitops.kinds.errors import Invalid
from gitops.kinds.gitward import MANAGER
from gitops.kinds.objects import KubeObject, ManagedFieldsEntry, T, key_of, timestamp, with_meta
from gitops.kinds.schema import Node, without_nulls
from gitops.kinds.sensitive import Sensitive

METADATA: Final[Path] = ("f:metadata",)  # Always there: what only the server sets is nobody's.

Removal = dict[str, Any]  # Element -> what to remove beneath it; empty: all of it.


class FieldConflict(NamedTuple):
    """A stated field with another value that another manager owns."""

    manager: str
    operation: str  # Apply or Update.
    api_version: str
    field: str  # `.spec.replicas`, as Kubernetes writes it.


def apply(
    live: T | None,
    stated: T,
    manager: str,
    now: datetime,
    shape: Node | None,
    *,
    force: bool = True,
    subresource: str | None = None,
) -> tuple[T, tuple[FieldConflict, ...]]:
    """Make `live` what `manager` states, by server-side-apply semantics.

    Args:
        live: the object as it is, None if there is none.
        stated: the manager's whole statement. `status` and what only a server sets are ignored.
        shape: the schema of the kind's objects.
        force: take over fields with another value that others own; else they are conflicts and nothing changes.
        subresource: "status": only the status of the statement counts.
    Returns:
        The object, its managedFields up to date (the very `live` if nothing changed), and the conflicts: with `force`
        those that were overridden, else nothing was changed because of them.
    Raises: Invalid, if a list names one item twice.
    """
    intent = _intent(stated, shape, subresource)
    wanted = values_of(intent, shape)
    if live is None:
        entry = _entry(manager, "Apply", stated, now, frozenset(wanted), subresource)
        return with_meta(intent, managedFields=[entry]), ()
    entries = live["metadata"].get("managedFields", [])
    mine = next((entry for entry in entries if _is(entry, manager, "Apply", subresource)), None)
    before = decode(mine["fieldsV1"]) if mine else NONE
    merged = cast(T, _merged(live, intent, shape))
    if mine and before == wanted.keys() and merged == live:
        return live, ()  # Nothing differs, so there is no conflict either.

    others = [(entry, decode(entry["fieldsV1"])) for entry in entries if entry is not mine]
    conflicts = _conflicts(values_of(live, shape), wanted, others, absent=force)
    told = tuple(conflict for conflict, _ in conflicts)
    if conflicts and not force:
        return live, told
    taken = {path for _, path in conflicts}
    left = {
        id(entry): _entry_of(entry, fields - taken)
        for entry, fields in others
        if fields - taken or not fields
    }
    stay = frozenset(wanted).union(*(fields - taken for _, fields in others))
    merged = cast(T, _without(merged, _dropped(before, stay), shape, (), stay))
    ours = _entry(manager, "Apply", stated, now, frozenset(wanted), subresource)
    after = [
        ours if entry is mine else left[id(entry)] for entry in entries if entry is mine or id(entry) in left
    ]
    return with_meta(merged, managedFields=after if mine else [*after, ours]), told


def own_update(
    old: T | None, new: T, manager: str, now: datetime, shape: Node | None, subresource: str | None = None
) -> T:
    """Record that `manager` wrote what differs between `old` and `new` by a plain write (operation Update).

    Changed fields go over to it silently; fields that are gone leave all owners. `managedFields` of `[]` or `[{}]` in
    `new` forgets all owners, as in Kubernetes. What a manager states by apply needs no second entry of its own. What
    git states stays git's: a plain write there is drift, and the writer is recorded beside git, removed fields
    included, until apply puts it back and says whose it was.
    """
    given = new["metadata"].get("managedFields")
    if given is not None and not any(given):
        return with_meta(new, managedFields=None)
    entries = given or (old["metadata"].get("managedFields", []) if old else [])
    before, after = (values_of(_part(obj, subresource), shape) if obj else {} for obj in (old, new))
    own = NONE.union(*(decode(one["fieldsV1"]) for one in entries if _is_applied_by(one, manager)))
    gits = NONE.union(*(decode(one["fieldsV1"]) for one in entries if _is_applied_by(one, MANAGER)))
    changed = frozenset(path for path, value in after.items() if path not in before or before[path] != value)
    changed, gone = changed - own, frozenset(before.keys() - after.keys()) - own
    mine = next((entry for entry in entries if _is(entry, manager, "Update", subresource)), None)
    left = [
        (
            entry,
            decode(entry["fieldsV1"])
            - ((gone | changed) - (gits if _is_applied_by(entry, MANAGER) else NONE)),
        )
        for entry in entries
        if entry is not mine
    ]
    # A manager that applied an object with nothing in it (a Namespace) keeps its entry: it still wants the object.
    kept = [_entry_of(entry, fields) for entry, fields in left if fields or not entry["fieldsV1"]]
    drifted = gone & gits
    fields = (decode(mine["fieldsV1"]) - gone if mine else NONE) | changed | drifted
    if mine and not changed and not drifted and fields:
        kept.insert(min(entries.index(mine), len(kept)), _entry_of(mine, fields))
    elif fields:
        kept.append(_entry(manager, "Update", new, now, fields, subresource))
    return with_meta(new, managedFields=kept or None)


def _part(obj: KubeObject, subresource: str | None) -> dict[str, Any]:
    """What a write on this road can change: the status, or all else."""
    return {name: value for name, value in obj.items() if (name == "status") == (subresource == "status")}


def _is_applied_by(entry: ManagedFieldsEntry, manager: str) -> bool:
    return entry["operation"] == "Apply" and entry["manager"] == manager


def differing(live: KubeObject, merged: KubeObject, stated: KubeObject, shape: Node | None) -> list[str]:
    """The stated fields whose value is not the same in both, as Kubernetes writes them; only uppermost ones."""
    before, after = values_of(live, shape), values_of(merged, shape)
    paths = {path for path in stated_fields(stated, shape) if before.get(path) != after.get(path)}
    upper = [
        path for path in sorted(paths) if not any(path[:length] in paths for length in range(1, len(path)))
    ]
    return [shown(path) for path in upper]


def stated_fields(obj: KubeObject, shape: Node | None) -> FieldSet:
    """The fields that whoever states `obj` owns."""
    return frozenset(values_of(without_nulls(obj), shape))


def owner_of(obj: KubeObject, field: Path) -> tuple[str, ...]:
    """The managers that own a field (a path of FieldsV1 elements) or something beneath it."""
    entries = obj["metadata"].get("managedFields", [])
    return tuple(
        entry["manager"]
        for entry in entries
        if any(path[: len(field)] == field for path in decode(entry["fieldsV1"]))
    )


def is_same(one: KubeObject, other: KubeObject) -> bool:
    """Whether they say the same, owners included, whenever each owner wrote."""
    return one == other or _timeless(one) == _timeless(other)


def _timeless(obj: KubeObject) -> KubeObject:
    entries = [{**entry, "time": None} for entry in obj["metadata"].get("managedFields", [])]
    return with_meta(obj, managedFields=entries or None)


def applied_by(obj: KubeObject, manager: str) -> bool:
    """Whether `manager` states anything of the object by apply."""
    return any(_is(entry, manager, "Apply", None) for entry in obj["metadata"].get("managedFields", ()))


def _intent(stated: T, shape: Node | None, subresource: str | None) -> T:
    """What of a statement counts: no status, no server fields, no nulls (which Kubernetes' decoder drops too)."""
    clean = without_nulls(stated)
    server_set = {path[1][2:] for path in UNOWNED if len(path) > 1} - {"name", "namespace", "generateName"}
    if subresource == "status":
        body = {name: clean[name] for name in ("apiVersion", "kind", "metadata", "status") if name in clean}
        server_set |= {"labels", "annotations", "ownerReferences", "finalizers"}
    else:
        body = {name: value for name, value in clean.items() if name != "status"}
    body["metadata"] = {name: value for name, value in clean["metadata"].items() if name not in server_set}
    twice = [
        (shown(path), f"duplicate entries for key {shown((element,))}")
        for path, element in duplicates(body, shape)
    ]
    if twice:
        told = ", ".join(f"{field}: {message}" for field, message in twice)
        raise Invalid(f"{key_of(stated)}: {told}", tuple(twice))
    return cast(T, body)


def _conflicts(
    live: Values, wanted: Values, others: list[tuple[ManagedFieldsEntry, FieldSet]], *, absent: bool
) -> list[tuple[FieldConflict, Path]]:
    """Stated values that differ from live ones which someone else owns. `absent`: those too that are not live."""
    differing = {path for path, value in wanted.items() if (live[path] != value if path in live else absent)}
    return [
        (FieldConflict(entry["manager"], entry["operation"], entry["apiVersion"], shown(path)), path)
        for entry, fields in others
        for path in sorted(differing & fields)
    ]


def _merged(live: Any, stated: Any, shape: Node | None) -> Any:  # Any JSON.
    """`live` with everything that is stated; maps and list maps are merged, all else is replaced."""
    if shape and shape.atomic:
        return stated
    if isinstance(live, Mapping) and isinstance(stated, Mapping):
        inner = {
            name: _merged(live[name], value, shape.child(name) if shape else None) if name in live else value
            for name, value in stated.items()
        }
        return {**live, **inner}
    if isinstance(live, Sensitive) and isinstance(stated, str):
        return Sensitive(stated)  # Sealing is sticky.
    if isinstance(live, list) and isinstance(stated, list) and shape and is_associative(shape):
        return _merged_list(live, stated, shape)
    return stated


def _merged_list(live: list[Any], stated: list[Any], shape: Node) -> list[Any]:
    """Items in the order stated; what only `live` has keeps its place before the item that it preceded.

    Applying twice gives the same list: stated items are then in the order stated already.
    """
    theirs, ours = elements(live, shape), elements(stated, shape)
    shared, by_name = set(ours), dict(zip(theirs, live, strict=True))
    merged: list[Any] = []
    at = 0
    for name, item in zip(ours, stated, strict=True):
        while at < len(live) and theirs[at] not in shared:
            merged.append(live[at])
            at += 1
        merged.append(_merged(by_name[name], item, shape.items()) if name in by_name else item)
        if at < len(live) and theirs[at] == name:
            at += 1
    return merged + [live[index] for index in range(at, len(live)) if theirs[index] not in shared]


def _dropped(before: FieldSet, stay: FieldSet) -> Removal:
    """What a manager owned and nobody owns now. Maps above a field count as its owner's, so a probe that left the
    declaration goes with the defaults in it; they stay while anyone owns anything beneath."""
    kept = prefixes(stay) | {METADATA}
    roots = {next((path[:n] for n in range(1, len(path) + 1) if path[:n] not in kept), ()) for path in before}
    removal = Removal()
    for *above, last in sorted(root for root in roots if root):
        node = removal
        for element in above:
            node = node.setdefault(element, {})
        node[last] = {}
    return removal


def _without(value: Any, removal: Removal, shape: Node | None, at: Path, stay: FieldSet) -> Any:  # Any JSON.
    """The value without what is to be removed; a map or list that this empties goes too, unless it is stated empty."""
    if isinstance(value, Mapping):
        left: dict[str, Any] = {}
        for name, below in value.items():
            element = f"f:{name}"
            if element not in removal:
                left[name] = below
            elif removal[element]:
                inner_shape = shape.child(name) if shape else None
                inner = _without(below, removal[element], inner_shape, (*at, element), stay)
                if inner or (*at, element) in stay:
                    left[name] = inner
        return left
    if isinstance(value, list) and shape and is_associative(shape):
        items = []
        for element, item in zip(elements(value, shape), value, strict=True):
            if element not in removal:
                items.append(item)
            elif removal[element]:
                items.append(_without(item, removal[element], shape.items(), (*at, element), stay))
        return items
    return value


def _is(entry: ManagedFieldsEntry, manager: str, operation: str, subresource: str | None) -> bool:
    return (entry["manager"], entry["operation"], entry.get("subresource")) == (
        manager,
        operation,
        subresource,
    )


def _entry_of(entry: ManagedFieldsEntry, fields: FieldSet) -> ManagedFieldsEntry:
    """The entry with other fields; the same one if they are the same."""
    return entry if decode(entry["fieldsV1"]) == fields else {**entry, "fieldsV1": encode(fields)}


def _entry(
    manager: str,
    operation: Literal["Apply", "Update"],
    obj: KubeObject,
    now: datetime,
    fields: FieldSet,
    subresource: str | None,
) -> ManagedFieldsEntry:
    entry: ManagedFieldsEntry = {
        "manager": manager,
        "operation": operation,
        "apiVersion": obj["apiVersion"],
        "time": timestamp(now),
        "fieldsType": "FieldsV1",
        "fieldsV1": encode(fields),
    }
    return {**entry, "subresource": subresource} if subresource else entry
