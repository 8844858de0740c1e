"""What a node may not write of what it may write: labels that attract pods or traffic, taints, owners, ranges.

Of a status that a node writes only the status counts; of a volume, that its data is gone.
Source: Kubernetes, admission plug-in NodeRestriction.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

from gitops.api.mirrors import refuse_other_pods
from gitops.api.nodes import MACHINE
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD
from gitops.kinds.core.storage import DATA_FINALIZER, PERSISTENT_VOLUME
from gitops.kinds.errors import Forbidden
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject, annotations_of, with_meta
from gitops.reconcile import Reader

_LABELS: Final = frozenset(
    {
        *("kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch"),
        *("beta.kubernetes.io/os", "beta.kubernetes.io/arch", "beta.kubernetes.io/instance-type"),
        *("node.kubernetes.io/instance-type", "topology.kubernetes.io/zone", "topology.kubernetes.io/region"),
        *("failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region"),
    }
)
_PREFIXES: Final = ("kubelet.kubernetes.io", "node.kubernetes.io")  # And what lies below them.
_RESERVED: Final = ("kubernetes.io", "k8s.io")


def created(view: Reader, node: str, kind: Kind[Any], new: KubeObject) -> KubeObject:
    """What of an object that a node creates is taken. Raises Forbidden."""
    if kind is POD:
        refuse_other_pods(view, node, new)
    return restricted(node, kind, None, new, "")


def restricted(
    node: str, kind: Kind[Any], old: KubeObject | None, new: KubeObject, subresource: str
) -> KubeObject:
    """What of a node's write is taken. `old` None: it creates. Raises Forbidden."""
    if old is not None and subresource == "status":
        version = new["metadata"].get("resourceVersion", "")
        return cast(KubeObject, {**new, "metadata": {**old["metadata"], "resourceVersion": version}})
    if kind is PERSISTENT_VOLUME and old is not None:
        left = [one for one in old["metadata"].get("finalizers") or () if one != DATA_FINALIZER]
        return with_meta(old, finalizers=left, resourceVersion=new["metadata"].get("resourceVersion", ""))
    if kind is NODE and (refused := _refused(old, new)):
        raise Forbidden(
            f'nodes "{node}" is forbidden: node "{node}" is not allowed to {" or ".join(refused)}'
        )
    return new


def _refused(old: KubeObject | None, new: KubeObject) -> list[str]:
    refused = []
    before, after = _labels(old), _labels(new)
    changed = [key for key in {**before, **after} if before.get(key) != after.get(key) and _is_reserved(key)]
    if changed:
        refused.append(f"change its labels {', '.join(sorted(changed))}")
    if annotations_of(new).get(MACHINE) != (annotations_of(old).get(MACHINE) if old is not None else None):
        refused.append("choose the machine that bears its name")
    owners = old["metadata"].get("ownerReferences") if old is not None else None
    if (new["metadata"].get("ownerReferences") or None) != (owners or None):
        refused.append("change its owner references")
    if _spec(new, "podCIDR") not in (None, _spec(old, "podCIDR")):
        refused.append("choose the range of its pods")
    if old is not None and (_spec(new, "taints") or None) != (_spec(old, "taints") or None):
        refused.append("change its taints")
    return refused


def _labels(obj: KubeObject | None) -> Mapping[str, object]:
    """What is no map is for admission to refuse."""
    found: object = obj["metadata"].get("labels") if obj is not None else None
    return found if isinstance(found, Mapping) else {}


def _spec(obj: KubeObject | None, field: str) -> object:
    spec = cast(dict[str, Any], obj).get("spec") if obj is not None else None
    return spec.get(field) if isinstance(spec, Mapping) else None


def _is_reserved(label: str) -> bool:
    """Of Kubernetes' own names, and none of those that a node may give itself."""
    prefix = label.partition("/")[0] if "/" in label else ""
    if label in _LABELS or any(prefix == one or prefix.endswith(f".{one}") for one in _PREFIXES):
        return False
    return any(prefix == one or prefix.endswith(f".{one}") for one in _RESERVED)
