"""apps/v1: Deployment and ReplicaSet, the fields that Gitward acts on (API reference 1.35)."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, Literal, NotRequired, TypedDict

from gitops.kinds import wording
from gitops.kinds.core.pod_checks import check_template
from gitops.kinds.core.pod_defaults import default_template
from gitops.kinds.core.pod_types import PodTemplateSpec
from gitops.kinds.core.pod_warnings import warn_workload
from gitops.kinds.filling import change, fill
from gitops.kinds.kind import Kind, Problem
from gitops.kinds.objects import Condition, KubeObject
from gitops.kinds.selectors import LabelSelector, matches, to_text
from gitops.kinds.tables import Row, age_of, columns, containers_text, name_of


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


def default_deployment(deployment: Deployment) -> Deployment:
    deployment = fill(deployment, spec={"selector": {}, "template": {}}, status={})
    return change(deployment, "spec", _default_deployment_spec)


def _default_deployment_spec(spec: DeploymentSpec) -> DeploymentSpec:
    spec = fill(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600, strategy={})
    spec = change(spec, "strategy", _default_strategy)
    return change(spec, "template", default_template)


def _default_strategy(strategy: DeploymentStrategy) -> DeploymentStrategy:
    strategy = fill(strategy, type="RollingUpdate")
    if strategy["type"] != "RollingUpdate":
        return strategy
    strategy = fill(strategy, rollingUpdate={})
    return change(
        strategy, "rollingUpdate", lambda update: fill(update, maxSurge="25%", maxUnavailable="25%")
    )


def default_replica_set(replica_set: ReplicaSet) -> ReplicaSet:
    replica_set = fill(replica_set, spec={"selector": {}}, status={"replicas": 0})
    return change(replica_set, "spec", _default_replica_set_spec)


def _default_replica_set_spec(spec: ReplicaSetSpec) -> ReplicaSetSpec:
    return change(fill(spec, replicas=1, template={}), "template", default_template)


def check_deployment(deployment: Deployment) -> Iterator[Problem]:
    spec = deployment["spec"]
    yield from _check_replicas(spec["replicas"], spec["selector"], spec["template"])
    for name in ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        yield from wording.not_negative(f"spec.{name}", dict(spec).get(name))  # type: ignore[arg-type] # By name.
    if spec["progressDeadlineSeconds"] <= spec.get("minReadySeconds", 0):
        found = spec["progressDeadlineSeconds"]
        yield wording.invalid("spec.progressDeadlineSeconds", found, "must be greater than minReadySeconds")
    yield from _check_strategy(spec["strategy"])


def _check_strategy(strategy: DeploymentStrategy) -> Iterator[Problem]:
    yield from wording.one_of("spec.strategy.type", strategy["type"], ("Recreate", "RollingUpdate"))
    update = strategy.get("rollingUpdate")
    if update is None:
        return
    field = "spec.strategy.rollingUpdate"
    if strategy["type"] == "Recreate":
        yield wording.forbidden(field, "may not be specified when strategy `type` is 'Recreate'")
        return
    surge, unavailable = update.get("maxSurge", 0), update.get("maxUnavailable", 0)
    yield from wording.amount(f"{field}.maxSurge", surge)
    yield from wording.amount(f"{field}.maxUnavailable", unavailable)
    yield from wording.at_most_all(f"{field}.maxUnavailable", unavailable)
    if surge in (0, "0%") and unavailable in (0, "0%"):
        why = "may not be 0 when `maxSurge` is 0"
        yield wording.invalid(f"{field}.maxUnavailable", unavailable, why)


def check_replica_set(replica_set: ReplicaSet) -> Iterator[Problem]:
    spec = replica_set["spec"]
    yield from _check_replicas(spec["replicas"], spec["selector"], spec["template"])
    yield from wording.not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))


def _check_replicas(replicas: int, selector: LabelSelector, template: PodTemplateSpec) -> Iterator[Problem]:
    """What both have: a number of pods, and how to know them again."""
    yield from wording.not_negative("spec.replicas", replicas)
    labels = template["metadata"].get("labels") or {}
    if not (selector.get("matchLabels") or selector.get("matchExpressions")):
        why = "empty selector is invalid for deployment"
        yield wording.invalid("spec.selector", selector, why)
    elif not matches(selector, labels):
        # Otherwise it would never see the pods that it makes, and would make them for ever.
        why = "`selector` does not match template `labels`"
        yield wording.invalid("spec.template.metadata.labels", labels, why)
    yield from check_template(template, "spec.template")


def check_selector_update(old: Deployment | ReplicaSet, new: Deployment | ReplicaSet) -> Iterator[Problem]:
    """A selector stays: with another one the pods that are there would be nobody's."""
    if old["spec"]["selector"] != new["spec"]["selector"]:
        yield wording.invalid("spec.selector", new["spec"]["selector"], wording.IMMUTABLE)


def _deployment_cells(deployment: Deployment, now: datetime) -> Row:
    spec, status = deployment["spec"], deployment.get("status") or DeploymentStatus()
    return (
        name_of(deployment),
        f"{status.get('readyReplicas', 0)}/{spec['replicas']}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        age_of(deployment, now),
        *containers_text(spec["template"]["spec"]["containers"]),
        to_text(spec["selector"]),
    )


def _replica_set_cells(replica_set: ReplicaSet, now: datetime) -> Row:
    spec, status = replica_set["spec"], replica_set.get("status") or ReplicaSetStatus(replicas=0)
    return (
        name_of(replica_set),
        spec["replicas"],
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        age_of(replica_set, now),
        *containers_text(spec["template"]["spec"]["containers"]),
        to_text(spec["selector"]),
    )


_WIDE: Final = ("Containers", "Images", "Selector")

DEPLOYMENT: Final[Kind[Deployment]] = Kind(
    "apps/v1",
    "Deployment",
    "deployments",
    short=("deploy",),
    categories=("all",),
    subresources=("status", "scale"),
    shape=Deployment,
    defaults=default_deployment,
    check=check_deployment,
    warn=warn_workload,
    check_update=check_selector_update,
    columns=columns(
        *("Name", "Ready", "Up-to-date", "Available", "Age"), wide=_WIDE, numbers=("Up-to-date", "Available")
    ),
    cells=_deployment_cells,
)
REPLICA_SET: Final[Kind[ReplicaSet]] = Kind(
    "apps/v1",
    "ReplicaSet",
    "replicasets",
    short=("rs",),
    categories=("all",),
    subresources=("status", "scale"),
    shape=ReplicaSet,
    defaults=default_replica_set,
    check=check_replica_set,
    warn=warn_workload,
    check_update=check_selector_update,
    columns=columns(
        *("Name", "Desired", "Current", "Ready", "Age"), wide=_WIDE, numbers=("Desired", "Current", "Ready")
    ),
    cells=_replica_set_cells,
    field_selectors=("status.replicas",),
)
