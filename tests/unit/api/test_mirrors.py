"""Which pods a node may make: mirrors of its own that let it read nothing."""

from typing import Any, Final, cast

import pytest

from gitops.api.restriction import created
from gitops.kinds.core.pod import POD
from gitops.kinds.errors import Forbidden
from gitops.kinds.objects import KubeObject
from tests.unit.controllers.world import World

NODE: Final[Any] = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "uid": "u"}, "spec": {}}
OWNER: Final = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u", "controller": True}
WORLD: Final = World(NODE)


def a_mirror(spec: Any = None, **meta: Any) -> KubeObject:
    marks = {"kubernetes.io/config.mirror": "abc"}
    whole = {"name": "web-n1", "annotations": marks, "ownerReferences": [OWNER], **meta}
    containers = [{"name": "app", "image": "shop:1"}]
    spec = {"nodeName": "n1", "containers": containers, **(spec or {})}
    return cast(KubeObject, {"apiVersion": "v1", "kind": "Pod", "metadata": whole, "spec": spec})


REFUSED = {
    "no annotation": (a_mirror(annotations=None), "mirror pods"),
    "another node": (a_mirror({"nodeName": "n2"}), "spec.nodeName"),
    "no owner, so that a ReplicaSet adopts it": (a_mirror(ownerReferences=[]), "owner reference"),
    "another owner": (
        a_mirror(ownerReferences=[{**OWNER, "apiVersion": "apps/v1", "kind": "ReplicaSet"}]),
        "owner reference",
    ),
    "an owner of another name": (a_mirror(ownerReferences=[{**OWNER, "name": "n2"}]), "owner reference"),
    "the uid of a ReplicaSet": (a_mirror(ownerReferences=[{**OWNER, "uid": "rs"}]), "owner reference"),
    "an owner beside": (a_mirror(ownerReferences=[OWNER, OWNER]), "owner reference"),
    "an owner that it holds up": (a_mirror(ownerReferences=[{**OWNER, "blockOwnerDeletion": True}]), "owner"),
    "an owner that does not control it": (
        a_mirror(ownerReferences=[{**OWNER, "controller": False}]),
        "owner",
    ),
    "owners that are none": (a_mirror(ownerReferences=["n1"]), "owner reference"),
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
        created(WORLD.view, "n1", POD, pod)

    assert why in str(told.value)


def test_a_node_makes_the_mirror_of_a_static_pod() -> None:
    created(WORLD.view, "n1", POD, a_mirror())
    created(WORLD.view, "n1", POD, a_mirror(ownerReferences=[{**OWNER, "blockOwnerDeletion": False}]))


def test_a_node_that_is_not_there_makes_none() -> None:
    with pytest.raises(Forbidden):
        created(World().view, "n1", POD, a_mirror(ownerReferences=[{**OWNER, "uid": ""}]))
