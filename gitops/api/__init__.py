"""HTTP: Kubernetes' wire format over the store. May import kinds, reconcile, store, admission and client.

In reading order: `server.py` (routes), `context.py` (what handlers may ask), `targets.py` (URLs), `identity.py`,
`visits.py`, `authorize.py`, `nodes.py`, `restriction.py`, `reviews.py` (who may what), `reads.py`, `pages.py`,
`watches.py`, `represent.py` (objects, tables, metadata), `objects.py`, `bodies.py` and `protobuf.py` (writes),
`status.py` (errors), `subresources.py`; `hub.py` (agents), `logs.py`, `processes.py` (exec, attach),
`portforward.py`, with `rights.py`, `upgrades.py`, `channels.py` (WebSocket), `spdy/` and `spdy_exec.py` beneath;
`usage.py` (kubectl top); `noise.py`, `sources.py`, `discovery.py`, `openapi.py`, `health.py`; `certificates.py` and
`kubeconfig.py` (the cluster's CA).
"""

from gitops.api.certificates import Authority, load_or_make_authority, server_certificate, server_tls
from gitops.api.context import Settings
from gitops.api.hub import AgentHub
from gitops.api.kubeconfig import kubeconfig, write_kubeconfig
from gitops.api.server import make_app, serve

__all__ = [
    "AgentHub",
    "Authority",
    "Settings",
    "kubeconfig",
    "load_or_make_authority",
    "make_app",
    "serve",
    "server_certificate",
    "server_tls",
    "write_kubeconfig",
]
