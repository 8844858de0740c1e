"""Volumes: a pod goes where its claims' volumes are, or can be.

Source: plug-ins VolumeRestrictions (ReadWriteOncePod), VolumeBinding and VolumeZone, 1.35. A claim whose class waits
for its first consumer is bound by a controller, on the node that the first pod gets. Not here: limits of volumes on a
node, which only CSI drivers state.
"""

from collections import Counter
from typing import Any, Final, NamedTuple, cast

from gitops.kinds import registry
from gitops.kinds.core.storage import PersistentVolume, PersistentVolumeClaim, fits
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, is_going, labels_of
from gitops.kinds.storage import LATE, PROVISIONERS
from gitops.reconcile import Reader

CLAIM: Final = ("", "PersistentVolumeClaim")
VOLUME: Final = ("", "PersistentVolume")
STORAGE_CLASS: Final = ("storage.k8s.io", "StorageClass")
ONE_POD: Final = "ReadWriteOncePod"
ZONE_LABELS: Final = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")
ZONES_SEPARATOR: Final = "__"  # A volume may be in several zones.


class Volume(NamedTuple):
    """A PersistentVolume: node selector terms of which one must hold (None: every node will do), its zones by label."""

    terms: tuple[Any, ...] | None
    zones: tuple[tuple[str, frozenset[str]], ...]


class Claimed(NamedTuple):
    """What the claims of one pod ask of a node.

    Attributes:
        missing: why no node will do yet, '' if that is not so.
        volumes: those it is bound to; `lost`: one of them does not exist.
        late: for each claim that is bound when a node is chosen, those that it may get; None: one is made.
        alone: a pod that is there has a claim that one pod alone may use.
    """

    missing: str
    volumes: tuple[Volume, ...] = ()
    lost: bool = False
    late: tuple[tuple[Volume, ...] | None, ...] = ()
    alone: bool = False


class Volumes:
    """Claims, volumes and classes as the view has them. `users`: pods with a node, by claim."""

    def __init__(self) -> None:
        self._objects: dict[Key, KubeObject] = {}
        self.users: Counter[Key] = Counter()

    def take_all(self, view: Reader) -> None:
        for group, kind in (CLAIM, VOLUME, STORAGE_CLASS):
            found = registry.find(group, kind)
            assert found is not None, "they are Kubernetes' own"
            for obj in view.list(found):
                meta = obj["metadata"]
                self.take(view, Key(group, kind, meta.get("namespace", ""), meta.get("name", "")))

    def take(self, view: Reader, key: Key) -> bool:
        """Take in one object of any kind; whether it concerns us."""
        if (key.group, key.kind) not in (CLAIM, VOLUME, STORAGE_CLASS):
            return False
        obj = view.object(key)
        if obj is None:
            self._objects.pop(key, None)
        else:
            self._objects[key] = obj
        return True

    def use(self, namespace: str, claim: str, sign: int) -> None:
        key = Key(*CLAIM, namespace, claim)
        self.users[key] += sign
        if not self.users[key]:
            del self.users[key]

    def asked(self, namespace: str, claims: tuple[str, ...]) -> Claimed:
        """What a pod with these claims needs of a node."""
        volumes: list[Volume] = []
        late: list[tuple[Volume, ...] | None] = []
        lost = alone = False
        for name in claims:
            key = Key(*CLAIM, namespace, name)
            claim = cast(Any, self._objects.get(key))
            if claim is None:
                return Claimed(f'persistentvolumeclaim "{name}" not found')
            if is_going(claim):
                return Claimed(f'persistentvolumeclaim "{name}" is being deleted')
            spec = claim["spec"]
            alone = alone or (ONE_POD in (spec.get("accessModes") or ()) and self.users[key] > 0)
            bound = spec.get("volumeName")
            if bound and (claim.get("status") or {}).get("phase") == "Bound":
                volume = self._objects.get(Key(*VOLUME, "", bound))
                lost = lost or volume is None
                volumes += [] if volume is None else [_volume(volume)]
            elif self._is_late(spec.get("storageClassName") or ""):
                if self.users[key] > 0:
                    # The first pod's node decides where the volume is: the second follows when that is known.
                    return Claimed(f'persistentvolumeclaim "{name}" is being bound for another pod')
                late.append(self._candidates(claim))
            else:
                return Claimed("pod has unbound immediate PersistentVolumeClaims")
        return Claimed("", tuple(volumes), lost, tuple(late), alone)

    def _candidates(self, claim: PersistentVolumeClaim) -> tuple[Volume, ...] | None:
        found = cast(Any, self._objects[Key(*STORAGE_CLASS, "", claim["spec"].get("storageClassName") or "")])
        if found["provisioner"] in PROVISIONERS and claim["spec"].get("selector") is None:
            return None
        every = (cast(PersistentVolume, one) for key, one in self._objects.items() if key.kind == VOLUME[1])
        return tuple(_volume(one) for one in every if fits(one, claim))

    def _is_late(self, name: str) -> bool:
        found = cast(Any, self._objects.get(Key(*STORAGE_CLASS, "", name)))
        return found is not None and found.get("volumeBindingMode") == LATE


def _volume(obj: KubeObject) -> Volume:
    required = (cast(Any, obj)["spec"].get("nodeAffinity") or {}).get("required")
    labels = labels_of(obj)
    zones = [(name, frozenset(labels[name].split(ZONES_SEPARATOR))) for name in ZONE_LABELS if name in labels]
    return Volume(None if required is None else tuple(required["nodeSelectorTerms"]), tuple(zones))
