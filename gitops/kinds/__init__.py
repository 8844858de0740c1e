"""What Gitward knows of each kind of object. Imports nothing of ours: all other rooms but `webhooks/` import this one.

Reading order: `keys.py` (identity), `errors.py`, `sensitive.py`, `objects.py` (what all objects have), `kind.py` (what
a kind is), `selectors.py`, `quantity.py`; then the kinds by API group: `core/`, `apps.py`, `networking.py`,
`discovery.py`, `coordination.py`, `gitward.py`, and `official.py` for those that are stored and shown only;
`registry.py` (which kinds there are), `versions.py` (which there are no more), `also_served.py` (which the API knows by
other words too); `schema.py` with `schema_nodes.py` and `unsupported.py` (their official shape);
`wording.py` and `names.py` (rules in Kubernetes' words); `tables.py` (`kubectl get`), `health.py`, `yaml/`.
"""
