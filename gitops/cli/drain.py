"""`gitward node drain`: cordon a node and evict its pods, with kubectl's rules, lines and errors.

Source: k8s.io/kubectl/pkg/drain (filters.go, drain.go), 1.35. Unlike kubectl it leaves DaemonSets' pods without being
told to.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

import typer

from gitops.client import Client
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import MIRROR, POD, Pod, is_terminal
from gitops.kinds.errors import GitwardError, NotFound, Unavailable
from gitops.kinds.objects import annotations_of, controller_of, is_going, uid

AGAIN_SECONDS: Final = 5.0  # After a budget said no, as kubectl.
POLL_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class DrainRules:
    """`force`: also pods that nobody will make again. `delete_emptydir_data`: also pods whose data ends with them."""

    timeout_seconds: float
    force: bool = False
    delete_emptydir_data: bool = False


class CannotDrain(GitwardError):
    """Some pod would be lost: nothing was evicted. kubectl's words."""

    reason = "Conflict"


def run_drain(kubeconfig: Path, name: str, rules: DrainRules) -> None:
    """Raises NotFound, CannotDrain, and Unavailable when the time is over."""
    asyncio.run(_drain(kubeconfig, name, rules))
    typer.echo(f"node/{name} drained")


async def cordon(client: Client, name: str, *, closed: bool) -> None:
    """Raises NotFound."""
    node = await client.get(NODE, "", name)
    word = "cordoned" if closed else "uncordoned"
    if bool(node["spec"].get("unschedulable")) == closed:
        typer.echo(f"node/{name} already {word}")
        return
    await client.patch(NODE, "", name, {"spec": {"unschedulable": True if closed else None}})
    typer.echo(f"node/{name} {word}")


async def _drain(kubeconfig: Path, node: str, rules: DrainRules) -> None:
    end = monotonic() + rules.timeout_seconds
    async with Client.from_kubeconfig(kubeconfig) as client:
        await cordon(client, node, closed=True)
        chosen = _chosen(await _pods_on(client, node), node, rules)
        left, again = {uid(pod): pod for pod in chosen}, dict.fromkeys(map(uid, chosen), 0.0)
        while left:
            if monotonic() > end:
                raise Unavailable(
                    f'unable to drain node "{node}" due to error: {_late(tuple(left.values()), rules)}'
                )
            for pod in left.values():
                if monotonic() >= again[uid(pod)]:
                    again[uid(pod)] = await _evict(client, pod)
            await asyncio.sleep(POLL_SECONDS)
            present = {uid(pod) for pod in await _pods_on(client, node)}
            for gone in left.keys() - present:
                typer.echo(f"pod/{left.pop(gone)['metadata'].get('name')} evicted")


async def _pods_on(client: Client, node: str) -> tuple[Pod, ...]:
    return (await client.list(POD, field_selector=f"spec.nodeName={node}")).items


def _chosen(pods: Sequence[Pod], node: str, rules: DrainRules) -> list[Pod]:
    """Those that are evicted. Raises CannotDrain, says what is left alone or lost."""
    ours = [pod for pod in pods if MIRROR not in annotations_of(pod) and not is_terminal(pod)]
    stays = [pod for pod in ours if _is_daemon(pod)]
    goes = [pod for pod in ours if not _is_daemon(pod)]
    errors = [
        *_refused(
            goes, _has_local_data, rules.delete_emptydir_data, "with local storage", "delete-emptydir-data"
        ),
        *_refused(goes, _is_alone, rules.force, "that declare no controller", "force"),
    ]
    if errors:
        why = errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]"
        raise CannotDrain(f'unable to drain node "{node}" due to error: {why}')
    lost = [pod for pod in goes if _is_alone(pod)]
    told = [
        *([f"ignoring DaemonSet-managed Pods: {_names(stays)}"] if stays else ()),
        *([f"deleting Pods that declare no controller: {_names(lost)}"] if lost else ()),
    ]
    if told:
        typer.echo(f"Warning: {'; '.join(told)}", err=True)
    return goes


def _refused(
    pods: Sequence[Pod], is_so: Callable[[Pod], bool], allowed: bool, what: str, flag: str
) -> Iterator[str]:
    found = [pod for pod in pods if is_so(pod)]
    if found and not allowed:
        yield f"cannot delete Pods {what} (use --{flag} to override): {_names(found)}"


def _is_daemon(pod: Pod) -> bool:
    """It would come back at once: its controller heeds no cordon."""
    owner = controller_of(pod)
    return owner is not None and owner["kind"] == "DaemonSet"


def _is_alone(pod: Pod) -> bool:
    return controller_of(pod) is None


def _has_local_data(pod: Pod) -> bool:
    return any("emptyDir" in volume for volume in pod["spec"].get("volumes") or ())


async def _evict(client: Client, pod: Pod) -> float:
    """When to ask again, by the monotonic clock. Raises what no waiting cures."""
    namespace, name = pod["metadata"].get("namespace", ""), pod["metadata"].get("name", "")
    if is_going(pod):
        return float("inf")
    typer.echo(f"evicting pod {namespace}/{name}")
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
        "deleteOptions": {"preconditions": {"uid": uid(pod)}},
    }
    try:
        await client.request("POST", f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", body=body)
    except NotFound:
        return float("inf")
    except Unavailable as error:
        typer.echo(
            f'error when evicting pods/"{name}" -n "{namespace}" (will retry after {AGAIN_SECONDS:.0f}s): {error}',
            err=True,
        )
        return monotonic() + AGAIN_SECONDS
    return float("inf")


def _late(pods: Sequence[Pod], rules: DrainRules) -> str:
    """One error for each pod, as kubectl tells them."""
    errors = [
        f'error when waiting for pod "{pod["metadata"].get("name")}" in namespace "{pod["metadata"].get("namespace")}" '
        f"to terminate: global timeout reached: {rules.timeout_seconds:.0f}s"
        for pod in pods
    ]
    return errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]"


def _names(pods: Sequence[Pod]) -> str:
    return ", ".join(f"{pod['metadata'].get('namespace')}/{pod['metadata'].get('name')}" for pod in pods)
