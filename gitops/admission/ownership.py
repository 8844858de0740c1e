"""Who may write what: what git states is changed in git, and everything else by whoever may. Never a silent drift.

Asked for people's writes only: controllers and nodes are trusted, and what they change of git's is put back by apply.
All refusals are Forbidden (403), since clients retry on 409.
"""

from collections.abc import Iterator
from typing import Any, Final

from gitops.admission.fields import PRESENT, Path, prefixes, shown, values_of
from gitops.admission.refusal import forbidden
from gitops.kinds import schema
from gitops.kinds.core.config import SECRET, seal_values
from gitops.kinds.core.namespace import NAMESPACE
from gitops.kinds.errors import Forbidden
from gitops.kinds.gitward import DECLARED, Claim, declared_key
from gitops.kinds.kind import Kind
from gitops.kinds.marks import MANAGED_BY, takes_only_git
from gitops.kinds.objects import KubeObject, controller_of, key_of
from gitops.reconcile import Reader

FIELDS_SHOWN_MAX: Final = 5  # In a refusal.


def refuse_create(view: Reader, kind: Kind[Any], obj: KubeObject) -> None:
    """Stop a person from creating what a source declares, or anything in a namespace that takes only git.

    Raises: Forbidden, naming the source, the file and the line.
    """
    _refuse_in_namespace_of_git(view, kind, obj)
    if (claim := _claim_on(view, obj)) is not None and claim["state"] == "declared":
        raise _refusal(kind, obj, f"{_place(claim)}: it will come from there")


def refuse_update(
    view: Reader, kind: Kind[Any], old: KubeObject, new: KubeObject, subresource: str | None = None
) -> None:
    """Stop a person from changing a field that a source states; fields that it leaves out are anyone's.

    Args:
        new: as admitted: defaults that come back are no change.
    Raises: Forbidden, naming the fields, the source, the file and the line.
    """
    if subresource != "status" and new != old:
        _refuse_in_namespace_of_git(view, kind, old)
    claim = _claim_on(view, old)
    if claim is None or claim["state"] != "declared":
        return
    fields = [shown(path) for path in sorted(_changed(kind, claim, old, new))]
    if fields:
        more = f" and {len(fields) - FIELDS_SHOWN_MAX} more" if len(fields) > FIELDS_SHOWN_MAX else ""
        named = ", ".join(fields[:FIELDS_SHOWN_MAX]) + more
        raise _refusal(kind, old, f"{named}: {_place(claim)}: change it there")


def refuse_delete(view: Reader, kind: Kind[Any], obj: KubeObject) -> None:
    """Stop a person from deleting what a source declares. What a controller made comes back, and so may always go.

    Raises: Forbidden, naming the source, the file and the line.
    """
    claim = _claim_on(view, obj)
    if claim is not None and claim["state"] == "declared":
        raise _refusal(kind, obj, f"{_place(claim)}: change it there")
    if claim is not None and claim["state"] == "held":
        why = f"source {claim['source']} declared it at {claim['file']}:{claim['line']}, and its deletion is held"
        raise _refusal(kind, obj, f"{why}: a commit with the trailer Gitward-Allow-Prune lets it go")
    if controller_of(obj) is None:
        _refuse_in_namespace_of_git(view, kind, obj)


def _claim_on(view: Reader, obj: KubeObject) -> Claim | None:
    """The first claim that still counts; None: no source has anything to say of the object."""
    record = view.get(DECLARED, declared_key(key_of(obj)))
    claims = [claim for claim in record["claims"] if claim["state"] != "withdrawn"] if record else []
    return next((claim for claim in claims if claim["state"] == "declared"), claims[0] if claims else None)


def _changed(kind: Kind[Any], claim: Claim, old: KubeObject, new: KubeObject) -> Iterator[Path]:
    """Paths that the claim states and whose value differs between `old` and `new`."""
    shape = schema.root(kind)
    stated = schema.without_nulls(seal_values(claim["object"]) if kind is SECRET else claim["object"])
    wanted = values_of({name: value for name, value in stated.items() if name != "status"}, shape)
    before, after = values_of(old, shape), values_of(new, shape)
    there, stays = prefixes(before), prefixes(after)
    for path, value in wanted.items():
        if value == {} or value is PRESENT:  # That it is there is stated; what others put into it is theirs.
            if path in there and path not in stays:
                yield path
        elif before.get(path) != after.get(path):
            yield path


def _refuse_in_namespace_of_git(view: Reader, kind: Kind[Any], obj: KubeObject) -> None:
    name = obj["metadata"].get("namespace", "")
    namespace = view.get(NAMESPACE, NAMESPACE.key("", name)) if kind.namespaced else None
    if namespace is not None and takes_only_git(namespace):
        raise _refusal(kind, obj, f"namespace {name} takes only what git declares (label {MANAGED_BY}: git)")


def _place(claim: Claim) -> str:
    return f"source {claim['source']} declares it at {claim['file']}:{claim['line']}"


def _refusal(kind: Kind[Any], obj: KubeObject, why: str) -> Forbidden:
    return forbidden(kind, obj["metadata"].get("name", ""), why)
