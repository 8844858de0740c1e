"""coordination.k8s.io/v1: Lease, a node's sign of life (API reference 1.35)."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, NotRequired, TypedDict

from gitops.kinds import wording
from gitops.kinds.filling import fill
from gitops.kinds.kind import Kind, Problem
from gitops.kinds.objects import KubeObject
from gitops.kinds.tables import Row, age_of, columns, name_of


class LeaseSpec(TypedDict):
    holderIdentity: NotRequired[str]
    leaseDurationSeconds: NotRequired[int]
    acquireTime: NotRequired[str]  # MicroTime.
    renewTime: NotRequired[str]  # MicroTime.
    leaseTransitions: NotRequired[int]


class Lease(KubeObject):
    spec: LeaseSpec


def default_lease(lease: Lease) -> Lease:
    return fill(lease, spec={})


def check_lease(lease: Lease) -> Iterator[Problem]:
    seconds = lease["spec"].get("leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        yield wording.invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0")


def _cells(lease: Lease, now: datetime) -> Row:
    return name_of(lease), lease["spec"].get("holderIdentity", ""), age_of(lease, now)


LEASE: Final[Kind[Lease]] = Kind(
    "coordination.k8s.io/v1",
    "Lease",
    "leases",
    shape=Lease,
    defaults=default_lease,
    check=check_lease,
    columns=columns("Name", "Holder", "Age"),
    cells=_cells,
)
