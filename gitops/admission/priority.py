"""A pod's priority: taken from its class, or from the class that is everybody's.

Source: Kubernetes' plug-in Priority. It is decided once, when the pod is made.
"""

from gitops.admission.refusal import forbidden
from gitops.kinds.core.pod import POD, Pod
from gitops.kinds.core.pod_types import PodSpec
from gitops.kinds.scheduling import PRIORITY_CLASS, SYSTEM_CLASSES, PriorityClass
from gitops.reconcile import Reader


def with_priority(view: Reader, pod: Pod) -> Pod:
    """The pod with the priority and the preemption policy of its class; 0 where there is none.

    Raises: Forbidden for a class that does not exist, and for a number that is not the class's.
    """
    spec, name = pod["spec"], pod["metadata"].get("name", "")
    wanted = spec.get("priorityClassName", "")
    value, policy = 0, "PreemptLowerPriority"
    if not wanted and (common := _common(view)) is not None:
        wanted = common["metadata"].get("name", "")
    if wanted in SYSTEM_CLASSES:
        value = SYSTEM_CLASSES[wanted]
    elif wanted:
        found = view.get(PRIORITY_CLASS, PRIORITY_CLASS.key("", wanted))
        if found is None:
            raise forbidden(POD, name, f"no PriorityClass with name {wanted} was found")
        value, policy = found["value"], found.get("preemptionPolicy", policy)
    stated = spec.get("priority")
    if stated is not None and stated != value:
        why = (
            f"the integer value of priority ({stated}) must not be provided in pod spec; priority admission "
            f"controller computed {value} from the given PriorityClass name"
        )
        raise forbidden(POD, name, why)
    added: PodSpec = {**spec, "priority": value}
    if wanted:
        added["priorityClassName"] = wanted
    if "preemptionPolicy" not in spec:
        added["preemptionPolicy"] = "Never" if policy == "Never" else "PreemptLowerPriority"
    return pod if added == spec else {**pod, "spec": added}


def _common(view: Reader) -> PriorityClass | None:
    """The class of pods that name none: the lowest where several say so."""
    marked = [one for one in view.list(PRIORITY_CLASS) if one.get("globalDefault")]
    return min(marked, key=lambda one: one["value"], default=None)
