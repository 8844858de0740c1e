"""Which pods a node may make: mirrors of its own that let it read nothing."""

from typing import Any, cast

import pytest

from gitops.api.mirrors import refuse_other_pods
from gitops.kinds.errors import Forbidden
from gitops.kinds.objects import KubeObject


def a_mirror(spec: Any = None, **meta: Any) -> KubeObject:
    whole = {"name": "web-n1", "annotations": {"kubernetes.io/config.mirror": "abc"}, **meta}
    containers = [{"name": "app", "image": "shop:1"}]
    spec = {"nodeName": "n1", "containers": containers, **(spec or {})}
    return cast(KubeObject, {"apiVersion": "v1", "kind": "Pod", "metadata": whole, "spec": spec})


REFUSED = {
    "no annotation": (a_mirror(annotations=None), "mirror pods"),
    "another node": (a_mirror({"nodeName": "n2"}), "spec.nodeName"),
    "another owner": (
        a_mirror(ownerReferences=[{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "n1"}]),
        "owner reference",
    ),
    "an owner of another name": (
        a_mirror(ownerReferences=[{"apiVersion": "v1", "kind": "Node", "name": "n2"}]),
        "owner reference",
    ),
    "a name to be made": (a_mirror(generateName="web-"), "a name"),
    "a secret": (a_mirror({"volumes": [{"name": "s", "secret": {"secretName": "keys"}}]}), "refer to no"),
    "a pull secret": (a_mirror({"imagePullSecrets": [{"name": "keys"}]}), "refer to no"),
    "a variable of a secret": (
        a_mirror({"containers": [{"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "keys"}}}]}]}),
        "refer to no",
    ),
    "an account": (a_mirror({"serviceAccountName": "admin"}), "refer to no"),
    "a token": (
        a_mirror({"volumes": [{"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]}),
        "refer to no",
    ),
    "a claim": (a_mirror({"volumes": [{"persistentVolumeClaim": {"claimName": "c"}}]}), "refer to no"),
    "what is no pod": (a_mirror({"volumes": ["s"]}), "refer to no"),
}


@pytest.mark.parametrize(("pod", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_a_node_makes_nothing_but_its_mirrors(pod: KubeObject, why: str) -> None:
    with pytest.raises(Forbidden) as told:
        refuse_other_pods("n1", pod)

    assert why in str(told.value)


def test_a_node_makes_the_mirror_of_a_static_pod() -> None:
    refuse_other_pods("n1", a_mirror())
    refuse_other_pods(
        "n1", a_mirror(ownerReferences=[{"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u"}])
    )
