"""The small async client that agents, the command line and tests share. May import: `gitops.kinds`.

In reading order: `credentials.py` (kubeconfig, TLS), `wire.py` (answers to objects and errors), `client.py` (requests
and watches), `follow.py` (a list that keeps itself current), `joining.py` (how a
machine becomes a node), `streams.py` and `reverse.py` (what the master asks of an
agent); `logs.py` (log lines, the same for every process).
"""

from gitops.client.client import Client, Event, Found
from gitops.client.credentials import Credentials, load_kubeconfig
from gitops.client.follow import follow
from gitops.client.reverse import Handler, LogRequest, PortRequest, ProcessRequest, of_bytes, serve_reverse

__all__ = [
    "Client",
    "Credentials",
    "Event",
    "Found",
    "Handler",
    "LogRequest",
    "PortRequest",
    "ProcessRequest",
    "follow",
    "load_kubeconfig",
    "of_bytes",
    "serve_reverse",
]
