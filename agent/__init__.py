"""The node agent: makes the pods of one node run on a container engine and reports what became of them.

Imports of ours: `gitops.kinds` and `gitops.client` only. In reading order: `pods/` (the life of a pod), `runtime/` (the
engine), `volumes/`, `probes/`; `network/`, `services/`, `dns/`, `ingress/` behind `proxies.py`, each on its own road to
the newest state (`parts.py`); then what joins them: `settings.py`, `registration.py` (the node's object and lease),
`reports.py` (statuses and events), `cluster.py` (what the proxies need), `logs.py`, `sessions.py`, `ports.py` and
`usage/` (what the master asks), `simulated.py`, `relief.py` (a node that runs short) and `node.py` (the composition
root, and the program that `gitward up` starts: `python -m agent.node`). `helpers.py` and `teardown.py` are the
network's.
"""
