"""coordination.k8s.io/v1: Lease, a node's sign of life (API reference 1.35)."""

from typing import Final, NotRequired, TypedDict

from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject


class LeaseSpec(TypedDict):
    holderIdentity: NotRequired[str]
    leaseDurationSeconds: NotRequired[int]
    acquireTime: NotRequired[str]  # MicroTime.
    renewTime: NotRequired[str]  # MicroTime.
    leaseTransitions: NotRequired[int]


class Lease(KubeObject):
    spec: LeaseSpec


LEASE: Final[Kind[Lease]] = Kind("coordination.k8s.io/v1", "Lease", "leases", shape=Lease)
