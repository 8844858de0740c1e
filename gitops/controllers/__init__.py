"""Controllers: pure functions from (view, key, now) to writes, one module per controller.

May import kinds and reconcile (apply.py also admission.merge). Each module ends with its `Controller`, or with a
function that makes it from settings. Tests lie under tests/unit/controllers by the same names.

Reading order: `apply.py` and `sources.py` (declared becomes live); `ownership.py`, `conditions.py` and `families.py`
(what several share); `replicaset.py`; `deployment.py` with `deployment_sizes.py`, `deployment_revisions.py` and
`deployment_status.py`; `endpointslice.py`, `endpoints.py`, `endpointslice_mirroring.py` with `slice_parts.py` and
`service_pods.py`, `ingress.py`; `node_cidr.py`, `node_lifecycle.py` with `node_zones.py`, `taint_eviction.py`,
`pod_gc.py`; `disruption.py`; `garbage.py`, `namespace.py`, `event_ttl.py`; `bootstrap.py` (what exists from the start).
"""
