"""Ingress addresses: an Ingress names in its status the nodes where it is served, as `kubectl get ingress` shows.

A node tells by an annotation where its proxy is reached; of those that are Ready all are named. There is one writer for
all: agents that each added themselves to one list would never settle. Source: Kubernetes, `Ingress.status`.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from ipaddress import ip_address
from typing import Final

from gitops.kinds import names
from gitops.kinds.core.node import NODE, node_condition
from gitops.kinds.keys import Key
from gitops.kinds.networking import INGRESS, INGRESS_ADDRESS, Ingress, IngressLoadBalancerStatus, is_served
from gitops.kinds.objects import KubeObject, annotations_of, is_going, key_of
from gitops.reconcile import NOTHING, Controller, Reader, Trigger, Writes


def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
    """Bring `status.loadBalancer` to the addresses of the nodes that serve. Another class's Ingress is left alone."""
    ingress = view.get(INGRESS, key)
    if ingress is None or is_going(ingress) or not is_served(ingress):
        return NOTHING
    wanted = _load_balancer(view)
    if _stated(ingress) == wanted:
        return NOTHING
    changed: Ingress = {**ingress, "status": {"loadBalancer": wanted}}
    return Writes(status=changed)


def _load_balancer(view: Reader) -> IngressLoadBalancerStatus:
    found = {
        address
        for node in view.list(NODE)
        if (address := annotations_of(node).get(INGRESS_ADDRESS))
        and not names.ip(address)
        and (ready := node_condition(node, "Ready")) is not None
        and ready["status"] == "True"
    }
    if not found:
        return {}
    return {"ingress": [{"ip": one} for one in sorted(found, key=_in_order)]}


def _in_order(address: str) -> tuple[int, int]:
    known = ip_address(address)
    return known.version, int(known)


def _stated(ingress: Ingress) -> IngressLoadBalancerStatus:
    return (ingress.get("status") or {}).get("loadBalancer") or {}


def _of_node(view: Reader, node: KubeObject) -> Iterator[Key]:
    """Those that say something else now: nodes report often, and there may be a thousand ingresses."""
    wanted = _load_balancer(view)
    return (key_of(one) for one in view.list(INGRESS) if is_served(one) and _stated(one) != wanted)


def _every(view: Reader) -> Iterable[Key]:
    return (key_of(one) for one in view.list(INGRESS))


INGRESS_CONTROLLER: Final = Controller(
    "ingress",
    reconcile,
    (Trigger("networking.k8s.io", "Ingress", lambda _, obj: (key_of(obj),)), Trigger("", "Node", _of_node)),
    resync=_every,
)
