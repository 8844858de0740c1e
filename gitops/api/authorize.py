"""Who may do what. The operator's group may do everything that is served; a node what `nodes.py` says; others nothing.

Not here: that what git states is changed in git, which holds for everyone and is decided on the newest state.
Source: Kubernetes, "Authorization overview"; the message is kube-apiserver's.
"""

from typing import Final

from gitops.api import nodes
from gitops.api.certificates import MASTERS
from gitops.api.context import Target, User
from gitops.api.service_accounts import is_account
from gitops.kinds.errors import Forbidden
from gitops.kinds.selectors import FieldRequirements
from gitops.reconcile import Reader

# What every client reads before it can do anything, and what a monitoring system reads.
OPEN_TO_ALL: Final = ("/healthz", "/livez", "/readyz", "/version", "/version/", "/metrics", "/api", "/api/*", "/apis",
                      "/apis/*", "/openapi", "/openapi/*")  # fmt: skip
# Of pods' programs: their metrics are whoever's that the operator let in by a certificate.
OPEN_TO_ACCOUNTS: Final = (
    *(one for one in OPEN_TO_ALL if one != "/metrics"),
    *("/.well-known/openid-configuration", "/openid/v1/jwks"),
)


def may_everything(user: User) -> bool:
    return MASTERS in user.groups


def authorize_path(user: User, verb: str, path: str) -> None:
    """Raises Forbidden unless `user` may ask for a path that names no resource. `verb`: the method in small letters."""
    found = OPEN_TO_ACCOUNTS if is_account(user) else OPEN_TO_ALL
    is_open = any(path.startswith(one[:-1]) if one.endswith("*") else path == one for one in found)
    if not may_everything(user) and not (verb == "get" and is_open):
        raise Forbidden(f'User "{user.name}" cannot {verb} path "{path}"')


def authorize(
    view: Reader, user: User, verb: str, target: Target, fields: FieldRequirements | None = None
) -> None:
    """Raises Forbidden unless `user` may. `fields`: a list's or watch's field selector, which may narrow it enough."""
    if may_everything(user):
        return
    node = nodes.node_of(user)
    if node is None or not nodes.may(view, node, verb, target, fields or FieldRequirements()):
        raise Forbidden(_refusal(user, verb, target))


def refuse_account(user: User, method: str, path: str) -> None:
    """Raises Forbidden for a path that names no resource, unless a service account may ask for it.

    Resources ask by themselves.
    """
    if is_account(user) and not path.startswith(("/api/", "/apis/")):
        authorize_path(user, method.lower(), path)


def _subject(target: Target) -> str:
    return f'{target.kind.resource} "{target.name}"' if target.name else target.kind.resource


def _refusal(user: User, verb: str, target: Target) -> str:
    where = f'in the namespace "{target.namespace}"' if target.namespace else "at the cluster scope"
    return (
        f'{_subject(target)} is forbidden: User "{user.name}" cannot {verb} resource "{target.place}" '
        f'in API group "{target.kind.group}" {where}'
    )
