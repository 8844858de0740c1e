"""Who may write what: what git declares is changed in git. Never a silent drift."""

from gitops.admission.refusal import forbidden
from gitops.kinds import registry
from gitops.kinds.errors import Forbidden
from gitops.kinds.gitward import DECLARED, declared_key
from gitops.kinds.objects import KubeObject, key_of
from gitops.reconcile import Reader


def refuse_if_git_owns(view: Reader, old: KubeObject) -> None:
    """Stop a person from deleting what a source declares.

    Raises: Forbidden, naming the source, the file and the line. (403, since clients retry on 409.)
    """
    key = key_of(old)
    record = view.get(DECLARED, declared_key(key))
    claim = (
        next((claim for claim in record["claims"] if claim["state"] != "withdrawn"), None) if record else None
    )
    if claim is None:
        return
    why = f"source {claim['source']} declares it at {claim['file']}:{claim['line']}: change it there"
    kind = registry.find(key.group, key.kind)
    raise forbidden(kind, key.name, why) if kind else Forbidden(f"{key} is forbidden: {why}")
