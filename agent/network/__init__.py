"""The pod network of one node: a portless bridge with the node's addresses, and a routed veth for each pod.

May import gitops.kinds only; netlink by pyroute2. In reading order: `settings` (what a node is told, the names
that are a stable contract), `ipam` (which address is next: pure), `overlap` (whose ranges are in the way: pure),
`sysctls` (kernel settings with their originals), `netns` (a thread in another namespace), `bridge` (gw0, its routes
and its lock), `links` (a pod's veth), `peers` (which way leads to
another node's pods: pure), `overlay` (those ways), `network` (all of it for the event loop).
"""

from agent.network.ipam import pick
from agent.network.network import Network
from agent.network.peers import Peer, peers_of
from agent.network.settings import NetworkSettings

__all__ = ["Network", "NetworkSettings", "Peer", "peers_of", "pick"]
