"""Labels and annotations by which people tell Gitward how to treat an object. In git or live, both count."""

from typing import Final

from gitops.kinds.objects import KubeObject, annotations_of, labels_of

MANAGED_BY: Final = "gitward.io/managed-by"  # A label of a namespace: `git` or `api`.
PRUNE: Final = "gitward.io/prune"  # An annotation: `disabled`.
REPLACE: Final = "gitward.io/replace"  # An annotation: `allowed`.


def takes_only_git(namespace: KubeObject) -> bool:
    """Nothing in it is written by people but through git."""
    return labels_of(namespace).get(MANAGED_BY) == "git"


def belongs_to_api(namespace: KubeObject) -> bool:
    """Git may add to it, and never takes anything away."""
    return labels_of(namespace).get(MANAGED_BY) == "api"


def is_never_pruned(obj: KubeObject) -> bool:
    return annotations_of(obj).get(PRUNE) == "disabled"


def may_be_replaced(obj: KubeObject) -> bool:
    """Deleted and made again where a field that cannot change has changed."""
    return annotations_of(obj).get(REPLACE) == "allowed"
