"""What a node may do: its own node and lease, the pods bound to it, and what those need. Nothing else.

Secrets and ConfigMaps are given by name alone, to nodes that run a pod which refers to them; TLS secrets of ingresses
to every node, since every node serves ingress. Source: Kubernetes, "Using Node Authorization" and NodeRestriction.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gitops.api.certificates import NODE_PREFIX, NODES
from gitops.api.context import Target, User
from gitops.kinds.coordination import LEASE
from gitops.kinds.core.config import CONFIG_MAP, SECRET
from gitops.kinds.core.event import EVENT
from gitops.kinds.core.namespace import NAMESPACE
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD, Pod
from gitops.kinds.core.service import SERVICE
from gitops.kinds.core.service_account import SERVICE_ACCOUNT
from gitops.kinds.core.storage import PERSISTENT_VOLUME, hosts_of
from gitops.kinds.discovery import ENDPOINT_SLICE
from gitops.kinds.errors import Unauthorized
from gitops.kinds.networking import INGRESS, INGRESS_CLASS
from gitops.kinds.node import RUNTIME_CLASS
from gitops.kinds.objects import annotations_of, is_going
from gitops.kinds.selectors import FieldRequirements
from gitops.reconcile import Reader

LEASE_NAMESPACE: Final = "kube-node-lease"
MACHINE: Final = "gitward.io/machine"  # An annotation of a Node: to which machine its name was given.
_READ: Final = ("get", "list", "watch")
_WRITE: Final = ("update", "patch")
_OPEN: Final = (SERVICE, ENDPOINT_SLICE, INGRESS, INGRESS_CLASS, NAMESPACE, NODE, RUNTIME_CLASS)


def node_of(user: User) -> str | None:
    """The node's name, None for anyone else."""
    return user.name.removeprefix(NODE_PREFIX) if is_node(user) else None


def is_node(user: User) -> bool:
    return NODES in user.groups and user.name.startswith(NODE_PREFIX)


def refuse_other_machine(view: Reader, user: User, machine: str) -> None:
    """A name is one machine's, from its joining until the Node is deleted. Raises Unauthorized."""
    name = node_of(user)
    if name is None:
        return
    node = view.get(NODE, NODE.key("", name))
    if node is None and machine:
        raise Unauthorized(f"node {name} was deleted: join again with a new token")
    if node is not None and annotations_of(node).get(MACHINE, "") != machine:
        raise Unauthorized(
            f"another machine is node {name}: delete that node first, or join under another name"
        )


def may(view: Reader, node: str, verb: str, target: Target, fields: FieldRequirements) -> bool:
    """Whether the agent of `node` may do `verb` on `target`; `fields` is a list's or watch's field selector."""
    kind = target.kind
    if kind in _OPEN and verb in _READ and not target.subresource:
        return True
    if kind is PERSISTENT_VOLUME:
        return verb in _READ or (verb == "patch" and _may_end_volume(view, node, target))
    if kind is NODE:
        return _own(node, verb, target) and target.subresource in ("", "status")
    if kind is LEASE:
        return target.namespace == LEASE_NAMESPACE and _own(node, verb, target)
    if kind is EVENT:
        return verb in ("create", "patch")
    if kind is POD:
        return _may_with_pods(view, node, verb, target, fields)
    if kind is SERVICE_ACCOUNT:
        return _may_with_accounts(view, node, verb, target)
    if kind in (SECRET, CONFIG_MAP):
        return _may_read_named(view, node, verb, target, fields)
    return False


def _may_end_volume(view: Reader, node: str, target: Target) -> bool:
    """To say that the data of a volume that is being deleted is gone: only of those that lie on it."""
    volume = view.get(PERSISTENT_VOLUME, PERSISTENT_VOLUME.key("", target.name))
    return volume is not None and is_going(volume) and hosts_of(volume) == {node} and not target.subresource


def _own(node: str, verb: str, target: Target) -> bool:
    """A create has no name in its URL: its handler asks again with the name in the body."""
    return (verb == "create" and target.name in ("", node)) or (
        verb in ("get", *_WRITE) and target.name == node
    )


def _may_with_pods(view: Reader, node: str, verb: str, target: Target, fields: FieldRequirements) -> bool:
    if verb in ("list", "watch"):
        return fields.value_of("spec.nodeName") == node
    if verb == "create":
        return not target.subresource  # What it may be is said by `restriction.py`.
    pod = view.get(POD, POD.key(target.namespace, target.name))
    if pod is None:
        return verb in ("get", "delete") and not target.subresource  # Answers "not found", which it may know.
    if pod["spec"].get("nodeName") != node:
        return False
    if target.subresource == "status":
        return verb in ("get", *_WRITE)
    return not target.subresource and verb in ("get", "delete")


def _may_with_accounts(view: Reader, node: str, verb: str, target: Target) -> bool:
    """Tokens for pods that run on it; which of them, its handler asks again with the body."""
    return (verb, target.subresource) == ("create", "token") and any(
        pod["metadata"].get("namespace", "") == target.namespace
        and pod["spec"].get("serviceAccountName", "") == target.name
        for pod in view.on_node(POD, node)
    )


def _may_read_named(view: Reader, node: str, verb: str, target: Target, fields: FieldRequirements) -> bool:
    name = target.name or fields.value_of("metadata.name") or ""
    if verb not in _READ or not name or not target.namespace:
        return False
    wanted = (target.kind.kind, target.namespace, name)
    bound = view.on_node(POD, node)
    return any(wanted in set(references(pod)) for pod in bound) or (
        target.kind is SECRET
        and any(name in _tls_secrets(ingress) for ingress in view.list(INGRESS, target.namespace))
    )


def references(pod: Pod) -> Iterator[tuple[str, str, str]]:
    """Every Secret and ConfigMap that a pod mounts, takes its environment from or pulls with: kind, namespace, name."""
    namespace = pod["metadata"].get("namespace", "")
    spec: Mapping[str, Any] = pod["spec"]
    for pull in spec.get("imagePullSecrets") or ():
        yield "Secret", namespace, pull.get("name", "")
    for volume in spec.get("volumes") or ():
        projected = (volume.get("projected") or {}).get("sources") or ()
        for source in (volume, *projected):
            if secret := source.get("secret"):
                yield "Secret", namespace, secret.get("secretName") or secret.get("name", "")
            if config_map := source.get("configMap"):
                yield "ConfigMap", namespace, config_map.get("name", "")
    for container in (
        one
        for group in ("initContainers", "containers", "ephemeralContainers")
        for one in spec.get(group) or ()
    ):
        for source in container.get("envFrom") or ():
            yield from _of_environment(source.get("secretRef"), source.get("configMapRef"), namespace)
        for variable in container.get("env") or ():
            source = variable.get("valueFrom") or {}
            yield from _of_environment(source.get("secretKeyRef"), source.get("configMapKeyRef"), namespace)


def _of_environment(
    secret: Mapping[str, str] | None, config_map: Mapping[str, str] | None, namespace: str
) -> Iterator[tuple[str, str, str]]:
    if secret:
        yield "Secret", namespace, secret.get("name", "")
    if config_map:
        yield "ConfigMap", namespace, config_map.get("name", "")


def _tls_secrets(ingress: Mapping[str, Any]) -> set[str]:
    return {entry.get("secretName", "") for entry in ingress["spec"].get("tls") or ()}
