"""What of a node's writes is taken, once `nodes.py` has said that it may write there at all.

Of its Node: no labels that attract pods or traffic, no taints, owners and ranges. Of a status only the status counts;
of a volume, that its data is gone. Of pods a node makes the mirrors of those that it runs from files of its own: it may
read what its pods refer to, so a mirror refers to nothing, and it is the Node's own, by uid: a pod of nobody, or of
another's uid, would count as a replica of whoever selects it, and others would be deleted for it.
Source: Kubernetes, admission plug-in NodeRestriction (`admitPod`, `admitNode`).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from gitops.api.nodes import MACHINE, references
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import MIRROR, POD, Pod
from gitops.kinds.core.storage import DATA_FINALIZER, PERSISTENT_VOLUME
from gitops.kinds.errors import Forbidden
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject, annotations_of, uid, with_meta
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
_REFERRING: Final = ("serviceAccountName", "serviceAccount", "resourceClaims", "imagePullSecrets")


def created(view: Reader, node: str, kind: Kind[Any], new: KubeObject) -> KubeObject:
    """What of an object that a node creates is taken. Raises Forbidden."""
    if kind is POD:
        _refuse_other_pods(view, node, new)
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


def _refuse_other_pods(view: Reader, node: str, pod: KubeObject) -> None:
    """Raises Forbidden for what is no mirror of a static pod of this node."""
    found = view.get(NODE, NODE.key("", node))
    for why in _reasons(node, uid(found) if found is not None else "", pod):
        name = pod["metadata"].get("name", "")
        raise Forbidden(f'pods "{name}" is forbidden: node "{node}" can only create {why}')


def _reasons(node: str, node_uid: str, pod: KubeObject) -> Iterator[str]:
    annotations: object = pod["metadata"].get("annotations")
    spec: object = cast(Mapping[str, Any], pod).get("spec")
    if not isinstance(annotations, Mapping) or not annotations.get(MIRROR):
        yield "mirror pods"
    if not isinstance(spec, Mapping) or spec.get("nodeName") != node:
        yield "pods with spec.nodeName set to itself"
        return
    if pod["metadata"].get("generateName"):
        yield "pods with a name"
    if not _is_owned_by(pod, {"apiVersion": "v1", "kind": NODE.kind, "name": node, "uid": node_uid}):
        yield "pods whose only owner reference is its Node, with its uid and as the controller"
    if _refers(pod, spec):
        yield "pods that refer to no service account, Secret, ConfigMap or claim"


def _is_owned_by(pod: KubeObject, node: Mapping[str, str]) -> bool:
    owners: object = pod["metadata"].get("ownerReferences")
    if not isinstance(owners, list) or len(owners) != 1 or not isinstance(owners[0], Mapping):
        return False
    stated = {
        name: value for name, value in owners[0].items() if (name, value) != ("blockOwnerDeletion", False)
    }
    return bool(node["uid"]) and stated == {**node, "controller": True}


def _refers(pod: KubeObject, spec: Mapping[str, Any]) -> bool:
    if any(spec.get(field) for field in _REFERRING):
        return True
    try:
        named = any(references(cast(Pod, pod)))
        return named or any(_reads(volume) for volume in spec.get("volumes") or ())
    except (AttributeError, TypeError, KeyError):
        return True  # What is not shaped like a pod may mean anything.


def _reads(volume: Mapping[str, Any]) -> bool:
    sources = (volume.get("projected") or {}).get("sources") or ()
    tokens = any("serviceAccountToken" in source for source in sources)
    return tokens or "persistentVolumeClaim" in volume or "ephemeral" in volume or "csi" in volume
