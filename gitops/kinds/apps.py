"""apps/v1: Deployment and ReplicaSet, the fields that Gitward acts on (API reference 1.35)."""

from typing import Final, Literal, NotRequired, TypedDict

from gitops.kinds.core.pod_types import PodTemplateSpec
from gitops.kinds.kind import Kind
from gitops.kinds.objects import Condition, KubeObject
from gitops.kinds.selectors import LabelSelector


class RollingUpdateDeployment(TypedDict):
    """Numbers or percentages: maxSurge rounds up, maxUnavailable down."""

    maxSurge: int | str
    maxUnavailable: int | str


class DeploymentStrategy(TypedDict):
    type: Literal["RollingUpdate", "Recreate"]
    rollingUpdate: NotRequired[RollingUpdateDeployment]  # Always there for RollingUpdate.


class DeploymentSpec(TypedDict):
    replicas: int
    selector: LabelSelector
    template: PodTemplateSpec
    strategy: DeploymentStrategy
    revisionHistoryLimit: int
    progressDeadlineSeconds: int
    minReadySeconds: NotRequired[int]
    paused: NotRequired[bool]


class DeploymentStatus(TypedDict):
    observedGeneration: NotRequired[int]
    replicas: NotRequired[int]
    updatedReplicas: NotRequired[int]
    readyReplicas: NotRequired[int]
    availableReplicas: NotRequired[int]
    unavailableReplicas: NotRequired[int]
    terminatingReplicas: NotRequired[int]
    collisionCount: NotRequired[int]
    conditions: NotRequired[list[Condition]]


class Deployment(KubeObject):
    spec: DeploymentSpec
    status: NotRequired[DeploymentStatus]


class ReplicaSetSpec(TypedDict):
    replicas: int
    selector: LabelSelector
    template: PodTemplateSpec
    minReadySeconds: NotRequired[int]


class ReplicaSetStatus(TypedDict):
    replicas: int
    observedGeneration: NotRequired[int]
    fullyLabeledReplicas: NotRequired[int]
    readyReplicas: NotRequired[int]
    availableReplicas: NotRequired[int]
    terminatingReplicas: NotRequired[int]
    conditions: NotRequired[list[Condition]]


class ReplicaSet(KubeObject):
    spec: ReplicaSetSpec
    status: NotRequired[ReplicaSetStatus]


DEPLOYMENT: Final[Kind[Deployment]] = Kind(
    "apps/v1",
    "Deployment",
    "deployments",
    short=("deploy",),
    categories=("all",),
    subresources=("status", "scale"),
    shape=Deployment,
)
REPLICA_SET: Final[Kind[ReplicaSet]] = Kind(
    "apps/v1",
    "ReplicaSet",
    "replicasets",
    short=("rs",),
    categories=("all",),
    subresources=("status", "scale"),
    shape=ReplicaSet,
    field_selectors=("status.replicas",),
)
