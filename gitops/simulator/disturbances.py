"""What happens to a cluster: pushes and their hooks, people's acts, containers that die, agents, silent nodes."""

from functools import partial
from typing import Any, Final, cast

from gitops.admission import admit_delete, admit_update
from gitops.kinds import registry
from gitops.kinds.apps import DEPLOYMENT, REPLICA_SET
from gitops.kinds.core.pod import POD
from gitops.kinds.core.service import SERVICE
from gitops.kinds.errors import GitwardError
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject, annotations_of, key_of, with_meta
from gitops.simulator.cluster import Cluster
from gitops.simulator.repository import REPLICAS_MAX
from gitops.store.contract import Position, Put, Txn

PUSHES: Final = (4, 10)
ACTIVE_SECONDS: Final = 120.0  # Then everything calms down.
HOOK_LOST: Final = 0.2
HOOK_DOUBLED: Final = 0.2
SILENT_SECONDS: Final = (5.0, 100.0)
PERSON: Final = "kubectl-edit"
TOUCHED: Final = (DEPLOYMENT, REPLICA_SET, POD, SERVICE)


def plan(cluster: Cluster) -> None:
    """Put everything that will happen on the agenda."""
    random, faults, agenda = cluster.random, cluster.faults, cluster.agenda
    for _ in range(random.randint(*PUSHES)):
        agenda.at(random.uniform(2, ACTIVE_SECONDS - 10), partial(_push, cluster))
    if faults.zombie:  # Two leaders, who meet the first commit together.
        agenda.at(random.uniform(0.0, 1.5), partial(_take_over, cluster))
    for number, what in (
        (faults.acts, _act),
        (faults.killed, _kill),
        (faults.agents, _crash_agent),
        (faults.silences, _silence),
        (3 if faults.zombie else 0, _take_over),
    ):
        for _ in range(number):
            agenda.at(random.uniform(5, ACTIVE_SECONDS - 5), partial(what, cluster))
    if faults.dead_node:
        agenda.at(random.uniform(30, ACTIVE_SECONDS), partial(_lose_node, cluster))


def _push(cluster: Cluster) -> None:
    commit = cluster.repository.push()
    random = cluster.random
    cluster.history.note(cluster.agenda.seconds, f"push {commit}")
    for _ in range(2 if random.random() < HOOK_DOUBLED else 1):
        if random.random() >= HOOK_LOST:
            cluster.agenda.after(random.uniform(0.1, 5.0), lambda: cluster.master.hint())


def _act(cluster: Cluster) -> None:
    """A person or another program writes to live objects."""
    random, view = cluster.random, cluster.store.view()
    chosen = random.choice(TOUCHED)
    objects: list[Any] = list(view.list(cast(Kind[Any], chosen), "shop"))
    if not objects:
        return
    obj = random.choice(objects)
    chance = random.random()
    if chosen is POD and chance < 0.2:  # Many at once, as a drained node has it.
        for one in random.sample(objects, min(len(objects), 4)):
            _delete(cluster, one, grace_seconds=0)
    elif chosen is POD and chance < 0.6:
        _delete(cluster, obj, grace_seconds=0 if chance < 0.4 else None)
    elif chosen is DEPLOYMENT and chance < 0.1:
        _delete(cluster, obj)
    elif chosen is DEPLOYMENT and chance < 0.5:
        spec = {**obj["spec"], "replicas": random.randint(0, REPLICAS_MAX)}
        _update(cluster, obj, {**obj, "spec": spec})
    else:
        told = {**annotations_of(obj), "example.com/note": str(random.randint(0, 9))}
        _update(cluster, obj, with_meta(obj, annotations=told))


def _update(cluster: Cluster, old: Any, new: Any) -> None:
    kind = registry.find(*key_of(old)[:2])
    try:
        admitted = admit_update(
            cluster.store.view(),
            cast(Kind[KubeObject], kind),
            old,
            new,
            now=cluster.agenda.now(),
            manager=PERSON,
        )
    except GitwardError:
        return
    cluster.disturb()
    cluster.commit(Txn((Put(admitted, expect=_version(old)),), actor=PERSON, cause="edit"))


def _delete(cluster: Cluster, obj: KubeObject, grace_seconds: int | None = None) -> None:
    kind = cast(Kind[KubeObject], registry.find(*key_of(obj)[:2]))
    op = admit_delete(kind, obj, now=cluster.agenda.now(), grace_seconds=grace_seconds)
    if op is not None:
        cluster.disturb()
        cluster.commit(Txn((op,), actor=PERSON, cause="delete"))


def _kill(cluster: Cluster) -> None:
    """A container ends by itself, or its sandbox does."""
    random = cluster.random
    node = cluster.nodes[random.choice(sorted(cluster.nodes))]
    running = [one for one in node.engine.states() if one.pid]
    if running:
        one = random.choice(running)
        cluster.history.note(cluster.agenda.seconds, f"{node.name}: {one.id} dies")
        cluster.disturb()
        node.engine.runtime.kill(one.id, exit_code=random.choice((0, 1, 137)))
        node.disturbed(one.pod_uid)


def _crash_agent(cluster: Cluster) -> None:
    node = cluster.nodes[cluster.random.choice(sorted(cluster.nodes))]
    if not node.dead:
        cluster.history.note(cluster.agenda.seconds, f"{node.name}: agent crashes")
        node.crash()


def _silence(cluster: Cluster) -> None:
    node = cluster.nodes[cluster.random.choice(sorted(cluster.nodes))]
    seconds = cluster.random.uniform(*SILENT_SECONDS)
    cluster.history.note(cluster.agenda.seconds, f"{node.name}: cut off for {seconds:.1f} s")
    node.cut_off(seconds)


def _lose_node(cluster: Cluster) -> None:
    node = cluster.nodes[cluster.random.choice(sorted(cluster.nodes))]
    cluster.history.note(cluster.agenda.seconds, f"{node.name}: lost")
    node.cut_off(None)


def _take_over(cluster: Cluster) -> None:
    if cluster.random.random() < cluster.faults.zombie:
        cluster.take_over(cluster.master)


def _version(obj: KubeObject) -> Position:
    return Position(int(obj["metadata"]["resourceVersion"]))
