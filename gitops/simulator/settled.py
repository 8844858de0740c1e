"""What must hold in the end: nothing goes wrong any more, so everything is as git says, and stays so."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any, Final

from gitops.kinds.apps import DEPLOYMENT, REPLICA_SET
from gitops.kinds.core.config import CONFIG_MAP
from gitops.kinds.core.namespace import NAMESPACE
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD, Pod, is_ready, is_terminal
from gitops.kinds.core.service import SERVICE
from gitops.kinds.core.service_account import comes_by_itself
from gitops.kinds.discovery import ENDPOINT_SLICE
from gitops.kinds.errors import Expired
from gitops.kinds.gitward import GIT_SOURCE
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, controller_of, is_going, key_of, uid
from gitops.kinds.selectors import matches_map
from gitops.simulator.cluster import Cluster
from gitops.simulator.history import Broken
from gitops.simulator.repository import NAMESPACE_NAME, SOURCE
from gitops.simulator.sizes import cpus_of
from gitops.store.contract import Scope, position

NOISE: Final = ("Lease", "GitSource", "Event")  # What changes though nothing happens.
WATCHES: Final = 4  # Resumed at random places.


def check(cluster: Cluster, quiet_from: int) -> None:
    """Raises Broken. `quiet_from`: since this batch nothing should have changed any more."""
    for found in (
        *_restless(cluster, quiet_from),
        *_spins(cluster),
        *_git(cluster),
        *_pods(cluster),
        *_sizes(cluster),
        *_endpoints(cluster),
        *_containers(cluster),
        *_views(cluster),
    ):
        raise Broken(f"in the end: {found}")
    asyncio.run(_check_watches(cluster))


def _restless(cluster: Cluster, quiet_from: int) -> Iterator[str]:
    for batch in cluster.batches[quiet_from:]:
        for change in batch.changes:
            if change.key.kind not in NOISE:
                yield f"{change.key} still changes (revision {batch.revision})"


def _spins(cluster: Cluster) -> Iterator[str]:
    if spins := cluster.master.runner.spins:
        yield f"a key was written again and again without time passing, {spins} times"
    broken = {name: number for name, number in cluster.master.runner.errors.items() if number}
    if broken and not cluster.master.runner.commits:
        yield f"controllers failed: {broken}"


def _git(cluster: Cluster) -> Iterator[str]:
    """The last commit is live, if it can be read (else the last one that somebody saw), and nothing else of git is."""
    view, repository = cluster.store.view(), cluster.repository
    if _is_stuck(cluster):
        return
    head = repository.commits[-1]
    wanted = repository.commits[cluster.invariants.declared] if head.broken else head
    source = view.get(GIT_SOURCE, GIT_SOURCE.key("", SOURCE))
    assert source is not None, "nobody deletes it"
    told = (source.get("status") or {}).get("commit") or {}
    if told.get("declared") != wanted.id or told.get("live") != wanted.id:
        yield f"commit {wanted.id} should be live, {source.get('status')} is told"
    stated, held = cluster.invariants.stated, cluster.invariants.held
    for key, obj in stated.items():
        live = view.object(key)
        if live is None or is_going(live):
            yield f"{key} is stated and not there"
        elif (difference := _difference(obj, live)) is not None:
            yield f"{key}: {difference}"
    kinds: tuple[Any, ...] = (DEPLOYMENT, SERVICE, CONFIG_MAP)
    for kind in kinds:
        for one in view.list(kind, NAMESPACE_NAME):
            if key_of(one) not in stated and key_of(one) not in held and not comes_by_itself(one):
                yield f"{key_of(one)} is there though git does not state it"


def _is_stuck(cluster: Cluster) -> bool:
    """A namespace does not go while a lost node has not said that its pods have ended."""
    view = cluster.store.view()
    namespace = view.get(NAMESPACE, NAMESPACE.key("", NAMESPACE_NAME))
    on_lost = [pod for name, node in cluster.nodes.items() if node.dead for pod in view.on_node(POD, name)]
    return namespace is not None and is_going(namespace) and bool(on_lost)


def _difference(stated: Any, live: Any, path: str = "") -> str | None:
    """The first stated field that live has otherwise; lists by position."""
    if isinstance(stated, dict):
        for name, value in stated.items():
            if not isinstance(live, dict) or name not in live:
                return f"{path}.{name} is missing"
            if (found := _difference(value, live[name], f"{path}.{name}")) is not None:
                return found
        return None
    if isinstance(stated, list) and isinstance(live, list) and len(stated) == len(live):
        for index, pair in enumerate(zip(stated, live, strict=True)):
            if (found := _difference(*pair, f"{path}[{index}]")) is not None:
                return found
        return None
    return None if stated == live else f"{path} is {live!r}, git says {stated!r}"


def _pods(cluster: Cluster) -> Iterator[str]:
    """Each pod has an owner, a node if one has room, and is ready if its image can be."""
    view = cluster.store.view()
    dead = {name for name, node in cluster.nodes.items() if node.dead}
    room = [name for name in cluster.nodes if name not in dead and _free_cpus(cluster, name) >= 1]
    for pod in view.list(POD):
        node, owner = pod["spec"].get("nodeName", ""), controller_of(pod)
        if node in dead:
            if not is_going(pod) or view.get(NODE, NODE.key("", node)) is None:
                yield f"{key_of(pod)} stays on {node}, which is lost"
            continue
        if owner is None or view.by_uid(owner["uid"]) is None:
            yield f"{key_of(pod)} has no owner"
        elif is_going(pod):
            yield f"{key_of(pod)} is still going"
        elif not node and room:
            yield f"{key_of(pod)} has no node, though {room[0]} has room"
        elif node and not is_ready(pod) and not _is_hopeless(pod):
            yield f"{key_of(pod)} is not ready"
    for replica_set in view.list(REPLICA_SET):
        owner = controller_of(replica_set)
        if owner is None or view.by_uid(owner["uid"]) is None:
            yield f"{key_of(replica_set)} has no owner"


def _is_hopeless(pod: Pod) -> bool:
    return "broken" in pod["spec"]["containers"][0]["image"]


def _free_cpus(cluster: Cluster, name: str) -> float:
    view = cluster.store.view()
    node = view.get(NODE, NODE.key("", name))
    status = (node.get("status") or {}) if node is not None else {}
    return float(status.get("allocatable", {}).get("cpu", "0")) - float(
        sum(map(cpus_of, view.on_node(POD, name)))
    )


def _sizes(cluster: Cluster) -> Iterator[str]:
    """Each ReplicaSet has its pods; each Deployment its size, unless something keeps its roll from ending."""
    view = cluster.store.view()
    for replica_set in view.list(REPLICA_SET):
        pods = [
            pod for pod in view.owned_by(POD, uid(replica_set)) if not is_going(pod) and not is_terminal(pod)
        ]
        if len(pods) != replica_set["spec"]["replicas"]:
            yield f"{key_of(replica_set)} has {len(pods)} pods, wanted {replica_set['spec']['replicas']}"
    for deployment in view.list(DEPLOYMENT):
        sets = list(view.owned_by(REPLICA_SET, uid(deployment)))
        pods = [pod for one in sets for pod in view.owned_by(POD, uid(one)) if not is_going(pod)]
        stuck = any(not is_ready(pod) for pod in pods)
        leaving = any(is_going(pod) for one in sets for pod in view.owned_by(POD, uid(one)))
        if len(pods) != deployment["spec"]["replicas"] and not stuck and not leaving:
            yield f"{key_of(deployment)} has {len(pods)} pods, wanted {deployment['spec']['replicas']}"
        image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        old = [pod for pod in pods if pod["spec"]["containers"][0]["image"] != image]
        if old and not stuck and not leaving:
            yield f"{key_of(old[0])} still runs {old[0]['spec']['containers'][0]['image']}, not {image}"


def _endpoints(cluster: Cluster) -> Iterator[str]:
    """A Service sends to exactly the pods that are ready."""
    view = cluster.store.view()
    for service in view.list(SERVICE, NAMESPACE_NAME):
        chosen = service["spec"].get("selector")
        name, namespace = service["metadata"].get("name", ""), service["metadata"].get("namespace", "")
        ready = {
            uid(pod)
            for pod in view.list(POD, namespace)
            if matches_map(chosen, pod["metadata"].get("labels") or {})
            and is_ready(pod)
            and not is_going(pod)
        }
        listed = {
            (endpoint.get("targetRef") or {}).get("uid", "")
            for one in view.list(ENDPOINT_SLICE, namespace)
            if (one["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == name
            for endpoint in one["endpoints"]
            if endpoint.get("conditions", {}).get("ready")
        }
        if ready != listed:
            yield f"{key_of(service)} sends to {sorted(listed)}, ready are {sorted(ready)}"


def _containers(cluster: Cluster) -> Iterator[str]:
    """Of each pod one container runs, and nothing else does."""
    view = cluster.store.view()
    for name, node in cluster.nodes.items():
        if node.dead:
            continue
        running = [one for one in node.engine.states() if one.pid]
        pods = {uid(pod) for pod in view.on_node(POD, name)}
        for one in running:
            if one.pod_uid not in pods:
                yield f"{name}: {one.id} runs, and belongs to no pod"
        for pod_uid in sorted(pods):
            found = sorted(one.container for one in running if one.pod_uid == pod_uid)
            if found != ["POD", "main"]:
                yield f"{name}: of pod {pod_uid} there run {found}"


def _views(cluster: Cluster) -> Iterator[str]:
    """What the master sees is what there is."""
    seen, truth = cluster.master.view, cluster.store.view()
    groups = {change.key.group for batch in cluster.batches for change in batch.changes}
    for group in sorted(groups):
        theirs: dict[Key, KubeObject] = {key_of(obj): obj for obj in seen.list_group(group)}
        ours: dict[Key, KubeObject] = {key_of(obj): obj for obj in truth.list_group(group)}
        for key in {**theirs, **ours}:
            if theirs.get(key) != ours.get(key):
                yield f"the master sees {key} otherwise than it is"


async def _check_watches(cluster: Cluster) -> None:
    """A watch that begins anywhere, in the middle of a transaction too, gives exactly what came after."""
    store, changes = cluster.store, [change for batch in cluster.batches for change in batch.changes]
    pods = [change for change in changes if change.key.kind == "Pod"]
    possible = [change for change in pods if change.position >= position(store.floors.window)]
    for after in cluster.random.sample(possible, min(WATCHES, len(possible))):
        expected = [change.position for change in pods if change.position > after.position]
        seen: list[int] = []
        try:
            async with aclosing(
                store.watch((Scope("", "Pod"),), after.position, bookmark_seconds=0)
            ) as watch:
                async for batch in watch:
                    if not batch.changes:
                        break
                    seen += [change.position for change in batch.changes]
        except Expired as error:
            raise Broken(f"a watch after {after.position} expired: {error}") from error
        if seen != [int(one) for one in expected]:
            raise Broken(
                f"a watch after {after.position} gave {len(seen)} changes, {len(expected)} came after"
            )
