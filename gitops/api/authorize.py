"""Who may do what. The operator's group may do everything that is served; a node what `nodes.py` says; others nothing.

Beside that: what git states is changed in git. People may read everything and delete pods.
Source: Kubernetes, "Authorization overview"; the message is kube-apiserver's.
"""

from typing import Final

from gitops.admission import refuse_if_git_owns
from gitops.api import nodes
from gitops.api.certificates import MASTERS
from gitops.api.context import Target, User
from gitops.kinds.core.pod import POD
from gitops.kinds.errors import Forbidden
from gitops.kinds.gitward import GIT_SOURCE
from gitops.kinds.selectors import FieldRequirements
from gitops.reconcile import Reader

READS: Final = frozenset({"get", "list", "watch"})


def authorize(
    view: Reader, user: User, verb: str, target: Target, fields: FieldRequirements | None = None
) -> None:
    """Raises Forbidden unless `user` may. `fields`: a list's or watch's field selector, which may narrow it enough."""
    node = nodes.node_of(user)
    if MASTERS in user.groups:
        if verb not in READS and not _people_may(verb, target):
            if (old := view.object(target.kind.key(target.namespace, target.name))) is not None:
                refuse_if_git_owns(view, old)  # Says in which file and line to change it.
            raise Forbidden(
                f"{_subject(target)} is forbidden: this cluster follows git: commit it to git instead"
            )
    elif node is None or not nodes.may(view, node, verb, target, fields or FieldRequirements()):
        raise Forbidden(_refusal(user, verb, target))


def _people_may(verb: str, target: Target) -> bool:
    if target.kind is GIT_SOURCE:
        return target.subresource == "sync"
    return target.kind is POD and verb == "delete" and not target.subresource


def _subject(target: Target) -> str:
    return f'{target.kind.resource} "{target.name}"' if target.name else target.kind.resource


def _refusal(user: User, verb: str, target: Target) -> str:
    where = f'in the namespace "{target.namespace}"' if target.namespace else "at the cluster scope"
    return (
        f'{_subject(target)} is forbidden: User "{user.name}" cannot {verb} resource "{target.place}" '
        f'in API group "{target.kind.group}" {where}'
    )
