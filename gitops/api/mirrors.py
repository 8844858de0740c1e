"""What a node may make of pods: the mirror of one that it runs from a file of its own, and nothing that lets it read.

A node may read what its pods refer to, so a mirror refers to nothing. It is the Node's own, by uid: a pod of nobody, or
of another's uid, would count as a replica of whoever selects it, and others would be deleted for it.
Source: Kubernetes, NodeRestriction (`admitPod`).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from gitops.api.nodes import references
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import MIRROR, Pod
from gitops.kinds.errors import Forbidden
from gitops.kinds.objects import KubeObject, uid
from gitops.reconcile import Reader

_REFERRING: Final = ("serviceAccountName", "serviceAccount", "resourceClaims", "imagePullSecrets")


def refuse_other_pods(view: Reader, node: str, pod: KubeObject) -> None:
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
