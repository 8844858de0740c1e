"""Whether a container that ended is started again: its own rules by exit code, then its policy, then its pod's. Pure.

Source: Kubernetes, "Pod Lifecycle", container restart policy and rules (1.35); component-helpers,
`ContainerShouldRestart`.
"""

from collections.abc import Sequence

from gitops.kinds.core.pod import Container, ContainerRestartRule, Pod, is_sidecar


def every_container(pod: Pod) -> Sequence[Container]:
    """Init containers, app containers, ephemeral ones: in the order of the specification."""
    spec = pod["spec"]
    return (*spec.get("initContainers", ()), *spec["containers"], *spec.get("ephemeralContainers", ()))


def is_init(pod: Pod, container: Container) -> bool:
    """One that is to end before the others begin."""
    return not is_sidecar(container) and container in pod["spec"].get("initContainers", ())


def is_ephemeral(pod: Pod, container: Container) -> bool:
    """One that a person added to look into a running pod: it runs once, and the pod does not depend on it."""
    return container in pod["spec"].get("ephemeralContainers", ())


def restarts(pod: Pod, container: Container, exit_code: int) -> bool:
    """An init container only after a failure, a sidecar always, an ephemeral one never."""
    if is_ephemeral(pod, container) or (is_init(pod, container) and exit_code == 0):
        return False
    if any(_matches(rule, exit_code) for rule in container.get("restartPolicyRules", ())):
        return True
    policy = container.get("restartPolicy") or pod["spec"]["restartPolicy"]
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def _matches(rule: ContainerRestartRule, exit_code: int) -> bool:
    """The only action there is: Restart."""
    codes = rule.get("exitCodes")
    if codes is None:
        return False
    return (exit_code in codes.get("values", ())) is (codes["operator"] == "In")
