"""The ReplicaSets of a Deployment: which one is new, what a new one looks like, revisions and their history.

Source: kubernetes/pkg/controller/deployment/{sync,util/deployment_util}.go, 1.35. A ReplicaSet is the new one because
its template equals the Deployment's after defaulting; its hash only names it and is never recomputed to decide.
"""

import json
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Final, cast

from gitops.kinds.apps import DEPLOYMENT, REPLICA_SET, Deployment, ReplicaSet, ReplicaSetStatus
from gitops.kinds.core.pod import PodTemplateSpec
from gitops.kinds.objects import (
    ObjectMeta,
    annotations_of,
    is_going,
    owner_reference,
    with_meta,
)
from gitops.kinds.selectors import LabelSelector

TEMPLATE_HASH: Final = "pod-template-hash"
REVISION: Final = "deployment.kubernetes.io/revision"
REVISION_HISTORY: Final = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS: Final = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS: Final = "deployment.kubernetes.io/max-replicas"
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
NOT_COPIED: Final = frozenset({LAST_APPLIED, REVISION, REVISION_HISTORY, DESIRED_REPLICAS, MAX_REPLICAS})
HASH_BYTES: Final = 4
HASH_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"  # Kubernetes' alphabet: it spells no words.
NAME_MAX: Final = 242  # Room for a dash and the hash within Kubernetes' 253.


def by_creation(replica_sets: Iterable[ReplicaSet]) -> list[ReplicaSet]:
    """Oldest first; creation times have whole seconds, so names decide ties."""
    return sorted(
        replica_sets,
        key=lambda one: (one["metadata"].get("creationTimestamp", ""), one["metadata"].get("name", "")),
    )


def find_new(deployment: Deployment, replica_sets: Iterable[ReplicaSet]) -> ReplicaSet | None:
    """The oldest ReplicaSet whose template is the Deployment's: the oldest, so that two equal ones do not alternate."""
    wanted = deployment["spec"]["template"]
    ordered = by_creation(one for one in replica_sets if not is_going(one))
    for one in ordered:
        if _bare(one["spec"]["template"]) == _bare(wanted):
            return one
    # Both were defaulted when they were written, but one perhaps by an earlier version of this code.
    wanted = DEPLOYMENT.defaults(deployment)["spec"]["template"]
    for one in ordered:
        if _bare(REPLICA_SET.defaults(one)["spec"]["template"]) == _bare(wanted):
            return one
    return None


def name_of_new(deployment: Deployment) -> str:
    """`web-<hash of the template and the collision count>`."""
    return f"{deployment['metadata'].get('name', '')[:NAME_MAX]}-{_template_hash(deployment)}"


def new_replica_set(deployment: Deployment, replicas: int, surge: int, revision: int) -> ReplicaSet:
    """A ReplicaSet of the present template."""
    spec, digest = deployment["spec"], _template_hash(deployment)
    template, selector = spec["template"], spec["selector"]
    labels = {**(template["metadata"].get("labels") or {}), TEMPLATE_HASH: digest}
    meta: ObjectMeta = {
        "name": name_of_new(deployment),
        "namespace": deployment["metadata"].get("namespace", ""),
        "labels": labels,
        "annotations": annotations_for(deployment, {}, surge, revision),
        "ownerReferences": [owner_reference(deployment)],
    }
    narrowed = cast(
        LabelSelector,
        {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), TEMPLATE_HASH: digest}},
    )
    replica_set: ReplicaSet = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": meta,
        "spec": {
            "replicas": replicas,
            "selector": narrowed,
            "template": cast(
                PodTemplateSpec, {**template, "metadata": {**template["metadata"], "labels": labels}}
            ),
        },
    }
    if min_ready := spec.get("minReadySeconds"):
        replica_set["spec"]["minReadySeconds"] = min_ready
    return replica_set


def adjusted(deployment: Deployment, one: ReplicaSet, replicas: int, surge: int) -> ReplicaSet:
    """A ReplicaSet at a size, with the annotations that proportional scaling reads later."""
    counts = _counts(deployment, surge)
    spec = one["spec"] if one["spec"]["replicas"] == replicas else {**one["spec"], "replicas": replicas}
    return cast(ReplicaSet, {**with_meta(one, annotations={**annotations_of(one), **counts}), "spec": spec})


def as_new(deployment: Deployment, one: ReplicaSet, surge: int, revision: int) -> ReplicaSet:
    """The new ReplicaSet with the Deployment's annotations, revision and minReadySeconds."""
    renewed = with_meta(one, annotations=annotations_for(deployment, annotations_of(one), surge, revision))
    min_ready = deployment["spec"].get("minReadySeconds", 0)
    if one["spec"].get("minReadySeconds", 0) == min_ready:
        return renewed
    return cast(ReplicaSet, {**renewed, "spec": {**one["spec"], "minReadySeconds": min_ready}})


def annotations_for(
    deployment: Deployment, kept: Mapping[str, str], surge: int, revision: int
) -> dict[str, str]:
    """Those of the Deployment, the sizes, and a revision that never falls; earlier revisions go to the history."""
    copied = {name: text for name, text in annotations_of(deployment).items() if name not in NOT_COPIED}
    found = {**kept, **copied, **_counts(deployment, surge)}
    before = kept.get(REVISION)
    if before is None or _number(before) < revision:
        found[REVISION] = str(revision)
        if before:
            found[REVISION_HISTORY] = ",".join(filter(None, (kept.get(REVISION_HISTORY), before)))
    return found


def revision_of(replica_set: ReplicaSet) -> int:
    return _number(annotations_of(replica_set).get(REVISION, ""))


def beyond_history(deployment: Deployment, old: Iterable[ReplicaSet]) -> tuple[ReplicaSet, ...]:
    """Empty ReplicaSets that `revisionHistoryLimit` no longer keeps, lowest revisions first."""
    alive = sorted((one for one in old if not is_going(one)), key=revision_of)
    surplus = len(alive) - deployment["spec"]["revisionHistoryLimit"]
    return tuple(one for one in alive[: max(surplus, 0)] if _is_idle(one))


def _is_idle(replica_set: ReplicaSet) -> bool:
    status = replica_set.get("status") or ReplicaSetStatus(replicas=0)
    observed = status.get("observedGeneration", 0) >= replica_set["metadata"].get("generation", 0)
    return observed and not status["replicas"] and not replica_set["spec"]["replicas"]


def _counts(deployment: Deployment, surge: int) -> dict[str, str]:
    replicas = deployment["spec"]["replicas"]
    return {DESIRED_REPLICAS: str(replicas), MAX_REPLICAS: str(replicas + surge)}


def _bare(template: PodTemplateSpec) -> tuple[object, object]:
    """Template without the label that we add ourselves."""
    labels = template["metadata"].get("labels") or {}
    stated = {name: value for name, value in labels.items() if name != TEMPLATE_HASH}
    return {**template["metadata"], "labels": stated}, template["spec"]


def _template_hash(deployment: Deployment) -> str:
    status = deployment.get("status") or {}
    text = json.dumps([deployment["spec"]["template"], status.get("collisionCount", 0)], sort_keys=True)
    number = int.from_bytes(blake2b(text.encode(), digest_size=HASH_BYTES).digest(), "big")
    return "".join(HASH_LETTERS[ord(digit) % len(HASH_LETTERS)] for digit in str(number))


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
