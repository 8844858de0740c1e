"""From a repository to the declared set: fetch, read blobs, parse in a child, decrypt, check, one transaction.

May import kinds, store and reconcile. Modules are imported by name, since the parser's child loads only what it needs.

Reading order: `syncer.py` (the loop of looks; `turns.py`, `timer.py`), `following.py` (one source), `source.py` (its
mirror; `git.py`, `access.py` and `catfile.py` run git), `operators.py`, `grants.py` and `reach.py` (who is trusted with
what), `signatures.py`; `gather.py` (one commit; `reading.py` says what of it is read, `parsing.py` and `rendering.py`
read it, `ledger.py` keeps what it states), `apps.py` and `files.py` (which files belong to what), `zygote.py` (the
parser's processes), `render/` (what runs in them, and what renders kustomizations and charts), `secrets/` (SOPS),
`compile.py` (documents into checked objects; `nested.py`), `declare.py` (objects into one transaction; `holds.py`,
`telling.py`), `check.py` (the same, offline).
"""
