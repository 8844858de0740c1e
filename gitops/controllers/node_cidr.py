"""Node CIDRs: each node gets a range of pod addresses of its own out of the cluster's.

Source: kubernetes/pkg/controller/nodeipam, range allocator; IPv4 only. The runner lets one assignment be in flight at a
time (`serial`), so two nodes never get the same range.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from ipaddress import IPv4Network
from typing import Final, cast

from gitops.kinds.core.node import NODE, Node
from gitops.kinds.errors import Unavailable
from gitops.kinds.keys import Key
from gitops.kinds.objects import is_going, key_of
from gitops.reconcile import NOTHING, Controller, Reader, Trigger, Writes

NODE_PREFIX: Final = 24  # 254 pods on a node, twice of what Kubernetes allows by default.


def node_cidr(pod_cidr: IPv4Network) -> Controller:
    """The controller that shares out `pod_cidr`."""

    def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
        """Give a node without a range the lowest that no node has.

        Raises: Unavailable when all are given away; it is tried again, since nodes may leave.
        """
        node = view.get(NODE, key)
        if node is None or is_going(node) or node["spec"].get("podCIDR"):
            return NOTHING
        taken = [IPv4Network(one) for each in view.list(NODE) if (one := each["spec"].get("podCIDR"))]
        free = next(_free(pod_cidr, taken), None)
        if free is None:
            raise Unavailable(f"no /{NODE_PREFIX} is left in {pod_cidr} for node {key.name}")
        spec = {**node["spec"], "podCIDR": str(free), "podCIDRs": [str(free)]}
        return Writes(status=cast(Node, {**node, "spec": spec}))

    return Controller(
        "node-cidr",
        reconcile,
        (Trigger("", "Node", lambda _, obj: (key_of(obj),)),),
        resync=lambda view: (key_of(one) for one in view.list(NODE)),
        serial=True,
    )


def _free(pod_cidr: IPv4Network, taken: Iterable[IPv4Network]) -> Iterator[IPv4Network]:
    """Ranges of `pod_cidr` that overlap no taken one, lowest first. A small cluster range is one node's as a whole."""
    held = list(taken)
    ranges = pod_cidr.subnets(new_prefix=max(NODE_PREFIX, pod_cidr.prefixlen))
    return (one for one in ranges if not any(one.overlaps(each) for each in held))
