"""Pure: which objects must not go without a word in a commit, the trailer `Gitward-Allow-Prune`.

Everything where an app states nothing any more, where more than ten and more than half of it would go, or where the
source was made to follow something else; volumes; definitions and namespaces that others still use. What is held stays
held until its word comes, whatever later commits add.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, cast

from gitops.kinds.core.namespace import NAMESPACE
from gitops.kinds.core.service_account import comes_by_itself
from gitops.kinds.gitward import Claim, Declared, declared_key
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, key_of
from gitops.reconcile import Reader

PRUNED_MAX: Final = 10  # More of them, and more than half of the app: held.
ALWAYS_HELD: Final = (("", "PersistentVolume"), ("", "PersistentVolumeClaim"))
CRD: Final = ("apiextensions.k8s.io", "CustomResourceDefinition")
NAMESPACE_KIND: Final = ("", "Namespace")


@dataclass(frozen=True, slots=True)
class Going:
    """What would go with an app's commit.

    Attributes:
        keys: live objects that nobody states any more.
        held: those among them that were held before.
        standing: how many objects of the app were declared or held before.
        is_empty: the app states nothing any more. is_moved: its source follows something else than before.
    """

    source: str
    app: str
    keys: Collection[Key]
    held: Collection[Key]
    standing: int
    is_empty: bool
    is_moved: bool


def held(view: Reader, going: Going) -> frozenset[Key]:
    """Those that need the word."""
    everything = going.is_empty or going.is_moved
    everything = everything or (len(going.keys) > PRUNED_MAX and len(going.keys) > going.standing / 2)
    found = {
        key for key in going.keys if everything or _stays_held(key, going) or _is_precious(view, key, going)
    }
    homes = {key.namespace for key in found}  # A namespace that goes takes with it what is in it.
    return frozenset(found | {key for key in going.keys if key.name in homes and key[:2] == NAMESPACE_KIND})


def allowed(trailers: Sequence[str]) -> tuple[float, list[str]]:
    """How many held objects the commits allow to go; what cannot be read is told."""
    most, warnings = 0.0, []
    for value in trailers:
        if value == "all":
            most = float("inf")
        elif value.isascii() and value.isdigit() and len(value) < 10:
            most = max(most, int(value))
        else:
            warnings.append(f"trailer Gitward-Allow-Prune: found {value[:40]!r}, wanted a number or `all`")
    return most, warnings


def claim_of(record: Declared, source: str, app: str) -> Claim | None:
    """An app's own claim in a record."""
    return next(
        (claim for claim in record["claims"] if claim["source"] == source and claim["app"] == app), None
    )


def _stays_held(key: Key, going: Going) -> bool:
    """Definitions and namespaces wait for what is in them to go, not for a word."""
    return key in going.held and key[:2] not in (CRD, NAMESPACE_KIND)


def _is_precious(view: Reader, key: Key, going: Going) -> bool:
    if key[:2] in ALWAYS_HELD:
        return True
    live = view.object(key)
    if live is None:
        return False
    if key[:2] == CRD:
        spec = cast(dict[str, dict[str, str] | str], cast(dict[str, object], live).get("spec") or {})
        names = cast(dict[str, str], spec.get("names") or {})
        return any(obj["kind"] == names.get("kind") for obj in view.list_group(str(spec.get("group", "-"))))
    if NAMESPACE.owns(live):
        return any(_is_foreign(view, obj, going) for obj in view.list_namespace(key.name))
    return False


def _is_foreign(view: Reader, obj: KubeObject, going: Going) -> bool:
    """Whether an object is neither declared by the app nor made from what it declares."""
    if obj["metadata"].get("ownerReferences") or obj["kind"] in ("Event", "Lease") or comes_by_itself(obj):
        return False
    record = cast(Declared | None, view.object(declared_key(key_of(obj))))
    return record is None or claim_of(record, going.source, going.app) is None
