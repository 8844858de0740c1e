"""What Gitward knows of each kind of object. Imports nothing of ours: every other room but `webhooks/` imports this one.

Reading order: `keys.py` (identity), `errors.py`, `sensitive.py`, `objects.py` (what all objects have), `kind.py` (what a
kind is); `selectors.py`, `quantity.py`; then the kinds themselves by API group: `core/`, `apps.py`, `networking.py`,
`discovery.py`, `coordination.py`, `gitward.py`, and `official.py` for those that are stored and shown only; `registry.py`
(which kinds there are), `schema.py` (their official shape), `tables.py` (`kubectl get`), `health.py`, `yaml.py`.
"""
