"""Marks by which other tools treat objects of git: Gitward does not act on them, and says so, with its own word if it
has one. A repository that was written for Argo CD, Flux or Helm is followed as it is. Pure.

Source: Argo CD (user-guide/sync-options.md, sync-waves.md), Flux (kustomize-controller, "Controlling the apply
behavior"), Helm (topics/charts_hooks.md, howto/charts_tips_and_tricks.md).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from gitops.kinds.kind import Problem
from gitops.kinds.marks import PRUNE, REPLACE
from gitops.kinds.objects import KubeObject, annotations_of, labels_of

_ARGO: Final = "argocd.argoproj.io/"
_FLUX: Final = "kustomize.toolkit.fluxcd.io/"
HOOKS: Final = (f"{_ARGO}hook", "helm.sh/hook")
_VARIABLE: Final = re.compile(r"Invalid value: .*\$\{[A-Za-z_]\w*(:=[^}]*)?\}")
_FLUX_VARIABLES: Final = (
    "variables of Flux's postBuild are not filled in: state the value, by a kustomization for instance"
)
_KEEP: Final = f"{PRUNE}: disabled keeps an object"
_REPLACE: Final = f"{REPLACE}: allowed lets an object be made anew"
# What of its value must be there, as a part of a list; '': any value. Then our own word for it.
_MARKS: Final[tuple[tuple[str, str, str], ...]] = (
    (f"{_ARGO}hook", "", "hooks are not run, it is applied with all else"),
    ("helm.sh/hook", "", "hooks are not run, it is applied with all else"),
    (f"{_ARGO}sync-wave", "", "the order comes from kinds, and from what an object names"),
    (f"{_ARGO}sync-options", "Prune=false", _KEEP),
    (f"{_ARGO}sync-options", "Delete=false", _KEEP),
    (f"{_ARGO}sync-options", "Replace=true", _REPLACE),
    (f"{_ARGO}sync-options", "Force=true", _REPLACE),
    ("helm.sh/resource-policy", "keep", _KEEP),
    (f"{_FLUX}prune", "disabled", _KEEP),
    (f"{_FLUX}force", "enabled", _REPLACE),
    (
        f"{_FLUX}reconcile",
        "disabled",
        "what git states is put back; leave the fields out of git that others write",
    ),
    (f"{_FLUX}ssa", "", "fields that git leaves out are never touched"),
)


def explained(problem: Problem) -> Problem:
    """A value that another tool would have filled in, told as that."""
    if _VARIABLE.search(problem.message):
        return problem._replace(message=f"{problem.message}; {_FLUX_VARIABLES}")
    return problem


def marks_of_others(obj: KubeObject) -> Iterator[Problem]:
    """A warning for each mark that asks for something; Flux takes them as labels, too."""
    stated: dict[str, str] = {**labels_of(obj), **annotations_of(obj)}
    place: Mapping[str, str] = dict.fromkeys(annotations_of(obj), "annotations")
    for name, value, own in _MARKS:
        text = stated.get(name)
        if text is None or (name.startswith("helm.sh/") and place.get(name) is None):
            continue
        if not value or value.lower() in (part.strip().lower() for part in text.split(",")):
            field = f"metadata.{place.get(name, 'labels')}[{name}]"
            yield Problem(field, f"{field}: {value or text} is not acted on: {own}")
