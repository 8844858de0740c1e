"""pyroute2, which has no type hints: imported here, and from here by the rest."""

from pyroute2 import IPRoute, NetlinkError

__all__ = ["IPRoute", "NetlinkError"]
