"""Who may do what. The operator's group may do everything that is served; a node what `nodes.py` says; others nothing.

Not here: that what git states is changed in git, which holds for everyone and is decided on the newest state.
Source: Kubernetes, "Authorization overview"; the message is kube-apiserver's.
"""

from gitops.api import nodes
from gitops.api.certificates import MASTERS
from gitops.api.context import Target, User
from gitops.kinds.errors import Forbidden
from gitops.kinds.selectors import FieldRequirements
from gitops.reconcile import Reader


def authorize(
    view: Reader, user: User, verb: str, target: Target, fields: FieldRequirements | None = None
) -> None:
    """Raises Forbidden unless `user` may. `fields`: a list's or watch's field selector, which may narrow it enough."""
    if MASTERS in user.groups:
        return
    node = nodes.node_of(user)
    if node is None or not nodes.may(view, node, verb, target, fields or FieldRequirements()):
        raise Forbidden(_refusal(user, verb, target))


def _subject(target: Target) -> str:
    return f'{target.kind.resource} "{target.name}"' if target.name else target.kind.resource


def _refusal(user: User, verb: str, target: Target) -> str:
    where = f'in the namespace "{target.namespace}"' if target.namespace else "at the cluster scope"
    return (
        f'{_subject(target)} is forbidden: User "{user.name}" cannot {verb} resource "{target.place}" '
        f'in API group "{target.kind.group}" {where}'
    )
