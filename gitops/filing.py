"""Under which terms a view files an object: its kind, its namespace, its owners, its node.

A term is a text, which remembers its own hash; objects of one owner on one node have all of their terms in common.
"""

from typing import Final, NamedTuple, cast

from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject

POD_KIND: Final = ("", "Pod")  # Those without a node are filed too: the scheduler asks for them.

Term = str  # What an index files objects under, such as "node//Pod/n1".


class Filing(NamedTuple):
    """What decides where an object is filed. `owners`: the uid of each, and whether it is the controller."""

    group: str
    kind: str
    namespace: str
    node: str
    owners: tuple[tuple[str, bool], ...]


def kind_term(group: str, kind: str, namespace: str | None) -> Term:
    """Where the objects of a kind are filed, all of them or those of a namespace."""
    return f"kind/{group}/{kind}" if namespace is None else f"kind/{group}/{kind}/{namespace}"


def owner_term(group: str, kind: str, owner_uid: str) -> Term:
    """Where those of a kind are filed whose controller has this uid."""
    return f"owner/{group}/{kind}/{owner_uid}"


def dependent_term(owner_uid: str) -> Term:
    """Where everything is filed that names this uid as an owner."""
    return f"dependent/{owner_uid}"


def node_term(group: str, kind: str, node: str) -> Term:
    """Where those of a kind are filed that name this node ('': none)."""
    return f"node/{group}/{kind}/{node}"


def filing_of(key: Key, obj: KubeObject) -> Filing:
    """Of an object at its key."""
    references = obj["metadata"].get("ownerReferences")
    owners = tuple([(one["uid"], bool(one.get("controller"))) for one in references]) if references else ()
    return Filing(key.group, key.kind, key.namespace, node_of(obj), owners)


def terms_of(filing: Filing) -> tuple[Term, ...]:
    """The second is the kind in the namespace, which also names the groups of labels."""
    group, kind, namespace, node, owners = filing
    terms = [kind_term(group, kind, None), kind_term(group, kind, namespace)]
    terms += [dependent_term(owner) for owner in dict(owners)]
    # The first, as `controller_of` finds it.
    terms += [owner_term(group, kind, owner) for owner, controls in owners if controls][:1]
    if node or (group, kind) == POD_KIND:
        terms.append(node_term(group, kind, node))
    return tuple(terms)


def node_of(obj: KubeObject) -> str:
    """`spec.nodeName`, '' where there is none: the one field that watches may name as a topic."""
    spec = cast("dict[str, object]", obj).get("spec")
    node = spec.get("nodeName") if isinstance(spec, dict) else None
    return node if isinstance(node, str) else ""
