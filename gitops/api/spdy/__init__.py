"""SPDY/3.1 as Kubernetes speaks it: what kubectl tunnels port-forward through, and what clients before 1.31 exec over.

Its own frames and streams over any bytes; nothing of HTTP's meaning. Without flow control, as all of Kubernetes' peers:
a stream whose reader is slow holds up those of the same connection. May import: `gitops.kinds`.

In reading order: `dictionary.py` (what header blocks are compressed against), `frames.py` (bytes to frames and back,
pure), `session.py` (streams over a transport).
"""

from gitops.api.spdy.session import SpdySession, SpdyStream, Transport

__all__ = ["SpdySession", "SpdyStream", "Transport"]
