"""The best of the nodes where a pod can run: the most room, then fewest pods of the same owner, then fewest pods.

Source: NodeResourcesFit (LeastAllocated) and TaintToleration of the default profile, 1.35. Kubernetes breaks ties at
random; here facts do, so that a plan and the live master agree: never the order of creation, which is history.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from gitops.kinds.core.pod import Pod
from gitops.kinds.objects import controller_of
from gitops.scheduler.filters import tolerates
from gitops.scheduler.nodes import CPU, MEMORY, PODS, Amounts, NodeState, scored_requests_of

SCORE_MAX: Final = 100
TAINT_WEIGHT: Final = 3
DIGEST_BYTES: Final = 8


def best(pod: Pod, states: Sequence[NodeState]) -> NodeState:
    """One of `states`, of which there is at least one."""
    wanted, owner = scored_requests_of(pod), controller_of(pod)
    owner_uid = owner["uid"] if owner else ""
    shunned = [_untolerated(pod, state) for state in states]
    most = max(shunned)

    def order(index: int) -> tuple[int, int, int, bytes]:
        state = states[index]
        score = _room(state, wanted)
        if most:
            score += TAINT_WEIGHT * (SCORE_MAX - SCORE_MAX * shunned[index] // most)
        siblings = state.owners.get(owner_uid, 0) if owner_uid else 0
        return -score, siblings, state.used.get(PODS, 0), _shuffle(state.name)

    return states[min(range(len(states)), key=order)]


def _room(state: NodeState, wanted: Amounts) -> int:
    """0 to 100: the mean share of cpu and memory that would still be free."""
    shares = []
    for resource in (CPU, MEMORY):
        capacity = state.allocatable.get(resource, 0)
        if capacity > 0:
            taken = state.scored.get(resource, 0) + wanted[resource]
            shares.append((capacity - taken) * SCORE_MAX // capacity if taken <= capacity else 0)
    return sum(shares) // len(shares) if shares else 0


def _untolerated(pod: Pod, state: NodeState) -> int:
    """How many taints ask the pod to go elsewhere if it can."""
    tolerations = [
        one
        for one in pod["spec"].get("tolerations") or ()
        if one.get("effect", "") in ("", "PreferNoSchedule")
    ]
    return sum(
        taint["effect"] == "PreferNoSchedule" and not tolerates(tolerations, taint) for taint in state.taints
    )


def _shuffle(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=DIGEST_BYTES).digest()
