"""The downward API: a pod's own fields and a container's own resources, for its environment and its files. Pure.

Source: kubernetes/pkg/fieldpath and pkg/api/v1/resource; `kubernetes.io/docs/concepts/workloads/pods/downward-api`.
"""

import re
from collections.abc import Mapping
from decimal import ROUND_CEILING
from typing import Final, NamedTuple

from gitops.kinds import quantity
from gitops.kinds.core.pod import Container, Pod, ResourceFieldSelector
from gitops.kinds.errors import Invalid

_SUBSCRIPT: Final = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")


class Surroundings(NamedTuple):
    """What a pod may be told of where it runs. `allocatable`: of the node, for limits that are not set."""

    node_name: str
    node_address: str
    pod_address: str
    allocatable: Mapping[str, str]


def field_value(pod: Pod, path: str, around: Surroundings) -> str:
    """The value of a fieldRef. Raises Invalid for a path that does not exist."""
    meta, spec = pod["metadata"], pod["spec"]
    if match := _SUBSCRIPT.fullmatch(path):
        labels = meta.get("labels") if match[1] == "labels" else meta.get("annotations")
        return (labels or {}).get(match[2], "")
    match path:
        case "metadata.name":
            return meta.get("name", "")
        case "metadata.namespace":
            return meta.get("namespace", "")
        case "metadata.uid":
            return meta.get("uid", "")
        case "metadata.labels":
            return _lines(meta.get("labels") or {})
        case "metadata.annotations":
            return _lines(meta.get("annotations") or {})
        case "spec.nodeName":
            return around.node_name
        case "spec.serviceAccountName":
            return spec.get("serviceAccountName", "default")
        case "status.hostIP" | "status.hostIPs":
            return around.node_address
        case "status.podIP" | "status.podIPs":
            return around.pod_address
        case _:
            raise Invalid(f"fieldRef: found {path!r}, wanted a field that the downward API has")


def _lines(values: Mapping[str, str]) -> str:
    """`key="value"`, sorted, escaped as Go's %q does for what labels and annotations hold."""
    return "\n".join(f"{key}={_quoted(value)}" for key, value in sorted(values.items()))


def _quoted(text: str) -> str:
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"' + "".join(escapes.get(char, char) for char in text) + '"'


def resource_value(pod: Pod, container: Container, ref: ResourceFieldSelector, around: Surroundings) -> str:
    """The value of a resourceFieldRef in units of its divisor, rounded up. An unset limit is what the node has."""
    owner = container
    if name := ref.get("containerName"):
        every = (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])
        owner = next((one for one in every if one["name"] == name), container)
    side, _, resource = ref["resource"].partition(".")
    limits, requests = owner["resources"].get("limits", {}), owner["resources"].get("requests", {})
    match side:
        case "limits":
            amount = limits.get(resource) or around.allocatable.get(resource, "0")
        case "requests":
            amount = requests.get(resource, "0")
        case _:
            raise Invalid(f"resourceFieldRef: found {ref['resource']!r}, wanted limits.… or requests.…")
    divisor = quantity.parse(ref.get("divisor") or "1") or 1  # "0" means the default.
    return str(int((quantity.parse(amount) / divisor).to_integral_value(ROUND_CEILING)))
