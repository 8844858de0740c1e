"""The core API group (v1): one module per subject, named after its kind.

`pod.py` (with `containers.py`, `volumes.py`, `pod_types.py` for its shape), `service.py`, `config.py` (ConfigMap and
Secret), `node.py`, `namespace.py`, `event.py`. May import the rest of `gitops.kinds` but `registry`, `schema` and `health`.
"""
