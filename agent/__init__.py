"""The node agent: makes the pods of one node run on a container engine and reports what became of them.

Imports of ours: `gitops.kinds` and `gitops.client` only. In reading order: `pods/` (the life of a pod), `runtime/` (the
engine), `volumes/`, `probes/`, `network/`, `services/`, `dns/`, `ingress/`, `node.py` (composition root, and the
program that `gitward up` starts: `python -m agent.node`).
"""
