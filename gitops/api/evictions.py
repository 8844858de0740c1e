"""The subresource `eviction` of pods: a deletion that asks the pod's disruption budget first. `kubectl drain` uses it.

Source: Kubernetes, "API-initiated eviction"; kubernetes/pkg/registry/core/pod/storage/eviction.go, 1.35.
"""

from datetime import datetime
from typing import Any, Final, cast

import orjson
from aiohttp import web

from gitops.admission import admit_delete
from gitops.api import protobuf
from gitops.api.authorize import authorize
from gitops.api.bodies import DeleteOptions, delete_options, media_of, read_json, read_protobuf
from gitops.api.context import CLOCK, STORE, USER, Target
from gitops.api.deletes import check_preconditions
from gitops.api.status import not_found
from gitops.api.writes import carry_out, transaction
from gitops.kinds.core.pod import POD, Pod, is_ready, is_terminal, pod_status
from gitops.kinds.errors import BadRequest, Forbidden, GitwardError
from gitops.kinds.objects import Condition, is_going, labels_of, timestamp
from gitops.kinds.policy import (
    POD_DISRUPTION_BUDGET,
    PodDisruptionBudget,
    PodDisruptionBudgetStatus,
    budget_status,
    spec_of,
)
from gitops.kinds.selectors import matches
from gitops.reconcile import Reader
from gitops.store.contract import Position, Put, Txn

VIOLATES: Final = "Cannot evict pod as it would violate the pod's disruption budget."
SEVERAL: Final = (
    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
)


class BudgetSpent(GitwardError):
    """Come again: the budget allows no further disruption now."""

    reason = "TooManyRequests"
    code = 429
    retry = True


class SeveralBudgets(GitwardError):
    reason = "InternalError"
    code = 500


async def evict(request: web.Request, target: Target) -> web.StreamResponse:
    """POST of an Eviction: 201; 429 while the pod's budget allows none, with the pod and the budget untouched."""
    authorize(request.app[STORE].view(), request[USER], "create", target)
    asked, now = await _asked(request, target), request.app[CLOCK]()

    def build(reader: Reader) -> Txn:
        pod = reader.get(POD, POD.key(target.namespace, target.name))
        if pod is None:
            raise not_found(target)
        check_preconditions(target, pod, asked)
        budget = _budget_of(reader, pod) if counts(pod) else None
        spent = _spent(budget, pod, now) if budget is not None else None
        op = admit_delete(
            POD, _told(pod, now), now=now, grace_seconds=asked.grace_seconds, propagation=asked.propagation
        )
        ops = [] if op is None or is_going(pod) else [op]
        if spent is not None:
            ops.append(Put(spent, expect=Position(int(spent["metadata"].get("resourceVersion", "0")))))
        return transaction(request, target, *ops)

    await carry_out(request, target, build, dry_run=asked.dry_run)
    said = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
    return web.Response(body=orjson.dumps(said), content_type="application/json", status=201)


def counts(pod: Pod) -> bool:
    """Whether a budget has a say: not for what has ended, has not begun or goes already."""
    return not (is_terminal(pod) or is_going(pod) or pod_status(pod).get("phase", "Pending") == "Pending")


def _budget_of(reader: Reader, pod: Pod) -> PodDisruptionBudget | None:
    found = [
        one
        for one in reader.list(POD_DISRUPTION_BUDGET, pod["metadata"].get("namespace", ""))
        if matches(spec_of(one).get("selector"), labels_of(pod))
    ]
    if len(found) > 1:
        raise SeveralBudgets(SEVERAL)
    return found[0] if found else None


def _spent(budget: PodDisruptionBudget, pod: Pod, now: datetime) -> PodDisruptionBudget | None:
    """The budget with this disruption counted; None: it does not count. Raises BudgetSpent and Forbidden."""
    name, status = budget["metadata"].get("name", ""), budget_status(budget)
    healthy, wanted = status["currentHealthy"], status["desiredHealthy"]
    if not is_ready(pod):
        if spec_of(budget).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
            return None
        if healthy >= wanted > 0:
            return None  # It is not among the healthy, so they stay as many.
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        raise BudgetSpent(f"{VIOLATES} The disruption budget {name} is still being processed by the server.")
    allowed = status["disruptionsAllowed"]
    if allowed < 0:
        raise Forbidden(f"pdb disruptions allowed is negative: {name}")
    if allowed == 0:
        raise BudgetSpent(
            f"{VIOLATES} The disruption budget {name} needs {wanted} healthy pods and has {healthy} currently"
        )
    gone = {**(status.get("disruptedPods") or {}), pod["metadata"].get("name", ""): timestamp(now)}
    told: PodDisruptionBudgetStatus = {**status, "disruptionsAllowed": allowed - 1, "disruptedPods": gone}
    return {**budget, "status": told}


def _told(pod: Pod, now: datetime) -> Pod:
    condition: Condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
        "lastTransitionTime": timestamp(now),
    }
    status = pod_status(pod)
    others = [one for one in status.get("conditions") or () if one["type"] != condition["type"]]
    return cast(Pod, {**pod, "status": {**status, "conditions": [*others, condition]}})


async def _asked(request: web.Request, target: Target) -> DeleteOptions:
    if media_of(request) == protobuf.MEDIA:
        found: Any = await read_protobuf(request, "policy/v1", "Eviction")
    else:
        found, _ = await read_json(request)
    if not isinstance(found, dict) or found.get("kind", "Eviction") != "Eviction":
        raise BadRequest("found no Eviction in the body")
    meta = found.get("metadata") or {}
    name = meta.get("name") or target.name if isinstance(meta, dict) else meta
    if name != target.name:
        raise BadRequest(f"name in URL does not match name in Eviction object: {target.name} and {name}")
    return delete_options(request, found.get("deleteOptions") or {})
