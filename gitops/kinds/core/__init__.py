"""The core API group (v1): one module per subject, named after its kind.

`pod.py` is the pod: its shape is in `containers.py`, `volumes.py` and `pod_types.py`, its rules in `pod_defaults.py`
and `pod_checks.py`, its row in `pod_table.py`. Then `service.py`, `config.py` (ConfigMap and Secret), `node.py`,
`namespace.py`, `event.py`. May import the rest of `gitops.kinds` but `registry`, `schema` and `health`.
"""
