"""The rules of a pod and of its changes, in Kubernetes' words. Source: Kubernetes, pkg/apis/core/validation.

Runs after the schema (types are right) and after defaulting (what has a default is there).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

from gitops.kinds import names, wording
from gitops.kinds.core.container_checks import check_container, check_resources
from gitops.kinds.core.containers import Container
from gitops.kinds.core.placement import check_placement
from gitops.kinds.core.pod_os import check_os
from gitops.kinds.core.pod_parts import check_ephemeral
from gitops.kinds.core.pod_resources import check_pod_resources
from gitops.kinds.core.pod_types import MIRROR, Pod, PodSpec, PodTemplateSpec, Toleration
from gitops.kinds.core.security import check_securities
from gitops.kinds.core.volume_checks import check_volumes
from gitops.kinds.kind import Problem
from gitops.kinds.lately import Lately
from gitops.kinds.objects import annotations_of

NAMESERVERS_MAX: Final = 3
SEARCH_DOMAINS_MAX: Final = 32
INT32_MAX: Final = 2**31 - 1
_RESTART: Final = ("Always", "OnFailure", "Never")
_DNS: Final = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
_EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_MUTABLE: Final = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def check_pod(pod: Pod) -> Iterator[Problem]:
    yield from _problems(pod["spec"])
    yield from _check_name(pod["spec"], "nodeName", "spec")


def check_pod_create(pod: Pod) -> Iterator[Problem]:
    if pod["spec"].get("ephemeralContainers"):
        yield wording.forbidden("spec.ephemeralContainers", "cannot be set on create")


def check_template(template: PodTemplateSpec, field: str) -> Iterator[Problem]:
    """Of a workload whose pods always restart."""
    yield from names.check_labels(template["metadata"].get("labels"), f"{field}.metadata.labels")
    yield from names.check_annotations(
        template["metadata"].get("annotations"), f"{field}.metadata.annotations"
    )
    yield from check_spec(template["spec"], f"{field}.spec")
    if (policy := template["spec"]["restartPolicy"]) in ("OnFailure", "Never"):
        yield wording.unsupported(f"{field}.spec.restartPolicy", policy, ("Always",))
    if template["spec"].get("ephemeralContainers"):
        why = "ephemeral containers not allowed in pod template"
        yield wording.forbidden(f"{field}.spec.ephemeralContainers", why)
    if template["spec"].get("activeDeadlineSeconds") is not None:
        why = "activeDeadlineSeconds in ReplicaSet is not Supported"
        yield wording.forbidden(f"{field}.spec.activeDeadlineSeconds", why)


def check_spec(spec: PodSpec, field: str) -> Iterator[Problem]:
    yield from _check_spec(spec, field)
    yield from _check_name(spec, "nodeName", field)


def _check_name(spec: PodSpec, name: str, field: str) -> Iterator[Problem]:
    value = _raw(spec).get(name)
    if value and (wrong := names.dns_subdomain(value)):
        yield wording.invalid(f"{field}.{name}", value, wrong)


def _check_spec(spec: PodSpec, field: str) -> Iterator[Problem]:
    """All but the node's name."""
    volumes = spec.get("volumes") or []
    yield from check_volumes(volumes, f"{field}.volumes")
    yield from _check_containers(spec, frozenset(volume.get("name", "") for volume in volumes), field)
    yield from check_securities(_raw(spec), field)
    yield from check_os(_raw(spec), field)
    yield from wording.one_of(f"{field}.restartPolicy", spec["restartPolicy"], _RESTART)
    yield from wording.one_of(f"{field}.dnsPolicy", spec["dnsPolicy"], _DNS)
    yield from wording.not_negative(
        f"{field}.terminationGracePeriodSeconds", spec["terminationGracePeriodSeconds"]
    )
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= INT32_MAX:
        why = f"must be between 1 and {INT32_MAX}, inclusive"
        yield wording.invalid(f"{field}.activeDeadlineSeconds", deadline, why)
    for name in ("hostname", "subdomain"):
        value: str | None = _raw(spec).get(name)
        if value and (wrong := names.dns_label(value)):
            yield wording.invalid(f"{field}.{name}", value, wrong)
    yield from _check_name(spec, "serviceAccountName", field)
    yield from _check_name(spec, "runtimeClassName", field)
    yield from check_pod_resources(spec, field)
    if overhead := spec.get("overhead"):
        yield from check_resources({"limits": overhead}, f"{field}.overhead")
    yield from names.check_labels(spec.get("nodeSelector"), f"{field}.nodeSelector")
    yield from check_tolerations(spec.get("tolerations"), f"{field}.tolerations")
    for index, alias in enumerate(spec.get("hostAliases") or ()):
        if wrong := names.ip(alias["ip"]):
            yield wording.invalid(f"{field}.hostAliases[{index}].ip", alias["ip"], wrong)
    for index, gate in enumerate(spec.get("readinessGates") or ()):
        if wrong := names.qualified_name(gate["conditionType"]):
            at = f"{field}.readinessGates[{index}].conditionType"
            yield wording.invalid(at, gate["conditionType"], wrong)
    yield from check_placement(_raw(spec), field)
    yield from _check_dns(spec, field)
    yield from _check_host(spec, field)


_problems: Final = Lately(lambda spec: tuple(_check_spec(cast(PodSpec, spec), "spec")), but="nodeName")


def _check_containers(spec: PodSpec, volumes: frozenset[str], field: str) -> Iterator[Problem]:
    if not spec.get("containers"):
        yield wording.required(f"{field}.containers")
    seen: set[str] = set()
    yield from check_ephemeral(spec, field)
    for group in ("initContainers", "containers", "ephemeralContainers"):
        containers: list[Container] = _raw(spec).get(group) or []
        for index, container in enumerate(containers):
            at = f"{field}.{group}[{index}]"
            yield from check_container(container, volumes, at, init=group == "initContainers")
            if (name := container.get("name", "")) in seen:
                yield wording.duplicate(f"{at}.name", name)
            seen.add(name)


def check_tolerations(tolerations: Sequence[Toleration] | None, field: str) -> Iterator[Problem]:
    for index, toleration in enumerate(tolerations or ()):
        yield from _check_toleration(toleration, f"{field}[{index}]")


def _check_toleration(toleration: Toleration, field: str) -> Iterator[Problem]:
    key, operator = toleration.get("key") or "", toleration.get("operator") or "Equal"
    if key and (wrong := names.qualified_name(key)):
        yield wording.invalid(f"{field}.key", key, wrong)
    if operator not in ("Equal", "Exists"):
        yield wording.unsupported(f"{field}.operator", operator, ("Equal", "Exists"))
    elif not key and operator != "Exists":
        why = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        yield wording.invalid(f"{field}.operator", operator, why)
    if operator == "Exists" and toleration.get("value"):
        yield wording.invalid(
            f"{field}.operator", toleration["value"], "value must be empty when `operator` is 'Exists'"
        )
    if (effect := toleration.get("effect")) and effect not in _EFFECTS:
        yield wording.unsupported(f"{field}.effect", effect, _EFFECTS)
    if toleration.get("tolerationSeconds") is not None and toleration.get("effect") != "NoExecute":
        why = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        yield wording.invalid(f"{field}.effect", toleration.get("effect") or "", why)


def _check_dns(spec: PodSpec, field: str) -> Iterator[Problem]:
    config = spec.get("dnsConfig") or {}
    servers = config.get("nameservers") or []
    if spec["dnsPolicy"] == "None" and not servers:
        yield wording.required(f"{field}.dnsConfig", "must provide `dnsConfig` when `dnsPolicy` is None")
    if len(servers) > NAMESERVERS_MAX:
        why = f"must not have more than {NAMESERVERS_MAX} nameservers"
        yield wording.invalid(f"{field}.dnsConfig.nameservers", servers, why)
    for index, server in enumerate(servers):
        if wrong := names.ip(server):
            yield wording.invalid(f"{field}.dnsConfig.nameservers[{index}]", server, wrong)
    if len(searches := config.get("searches") or []) > SEARCH_DOMAINS_MAX:
        why = f"must not have more than {SEARCH_DOMAINS_MAX} search paths"
        yield wording.invalid(f"{field}.dnsConfig.searches", searches, why)


def _check_host(spec: PodSpec, field: str) -> Iterator[Problem]:
    """Ports that a pod takes from its node."""
    seen: set[tuple[str, str, int]] = set()
    for index, container in enumerate(spec.get("containers") or ()):
        for place, port in enumerate(container.get("ports") or ()):
            at, host_port = f"{field}.containers[{index}].ports[{place}]", _raw(port).get("hostPort")
            if not host_port:
                continue
            if spec.get("hostNetwork") and host_port != port["containerPort"]:
                yield wording.invalid(
                    f"{at}.hostPort", host_port, "must match `containerPort` when `hostNetwork` is true"
                )
            taken = (port["protocol"], _raw(port).get("hostIP") or "", host_port)
            if taken in seen:
                yield wording.duplicate(f"{at}.hostPort", host_port)
            seen.add(taken)


def check_pod_update(old: Pod, new: Pod) -> Iterator[Problem]:
    """A pod's specification stays as it was, but for images, a nearer deadline, more tolerations and its node."""
    if old["metadata"].get("annotations") is not new["metadata"].get("annotations"):
        yield from _check_mirror(annotations_of(old), annotations_of(new))
    before, after = old["spec"], new["spec"]
    if before == after or (not before.get("nodeName") and _is_bound(before, after)):
        return
    yield from _check_deadline(before.get("activeDeadlineSeconds"), after.get("activeDeadlineSeconds"))
    kept = [_without_seconds(one) for one in after.get("tolerations") or ()]
    if any(_without_seconds(one) not in kept for one in before.get("tolerations") or ()):
        why = "existing toleration can not be modified except its tolerationSeconds"
        yield wording.forbidden("spec.tolerations", why)
    gates = [one["name"] for one in before.get("schedulingGates") or ()]
    if any(one["name"] not in gates for one in after.get("schedulingGates") or ()):
        yield wording.forbidden(
            "spec.schedulingGates", "only deletion is allowed, but found new scheduling gates"
        )
    bound = not before.get("nodeName")  # Its node is set once: binding does it.
    if _fixed(before, bound) != _fixed(after, bound):
        yield wording.forbidden("spec", _MUTABLE)


def _check_mirror(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Problem]:
    """What a node runs from a file of its own and what it was told to run are ended in different ways."""
    field = f"metadata.annotations[{MIRROR}]"
    if MIRROR not in before and MIRROR in after:
        yield wording.forbidden(field, "may not add mirror pod annotation")
    elif before.get(MIRROR) != after.get(MIRROR):
        yield wording.forbidden(field, "may not remove or update mirror pod annotation")


def _is_bound(before: PodSpec, after: PodSpec) -> bool:
    """Whether nothing but the node differs: the one change that every pod meets."""
    old, new = _raw(before), _raw(after)
    return old.keys() | {"nodeName"} == new.keys() | {"nodeName"} and all(
        value is new[name] for name, value in old.items() if name != "nodeName"
    )


def _check_deadline(before: int | None, after: int | None) -> Iterator[Problem]:
    field = "spec.activeDeadlineSeconds"
    if before is not None and after is None:
        yield wording.invalid(field, None, "must not update from a positive integer to nil value")
    elif before is not None and after is not None and after > before:
        yield wording.invalid(field, after, f"must be less than or equal to previous value ({before})")


def _without_seconds(toleration: Toleration) -> dict[str, object]:
    return {name: value for name, value in toleration.items() if name != "tolerationSeconds"}


def _fixed(spec: PodSpec, may_bind: bool) -> dict[str, object]:
    """What may not change once a pod exists."""
    free = ("activeDeadlineSeconds", "tolerations", "schedulingGates", *(("nodeName",) if may_bind else ()))
    kept = {name: value for name, value in spec.items() if name not in free}
    for group in ("containers", "initContainers"):
        containers: list[Container] = _raw(spec).get(group) or []
        kept[group] = [{name: value for name, value in one.items() if name != "image"} for one in containers]
    if spec["terminationGracePeriodSeconds"] in (1, -1):
        kept["terminationGracePeriodSeconds"] = 1
    return kept


def _raw(value: object) -> Mapping[str, Any]:
    """A TypedDict as the JSON map that it is, for fields that are looked up by name."""
    assert isinstance(value, Mapping)
    return value
