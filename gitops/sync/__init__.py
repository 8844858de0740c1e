"""From a repository to the declared set: fetch, read blobs, parse in a child, decrypt, check, one transaction.

May import kinds, store and reconcile. Modules are imported by name, since the parser's child loads only what it needs.

Reading order: `syncer.py` (the loop of one look), `source.py` (the mirror; `git.py` and `catfile.py` run git),
`files.py` (which files of a commit are read), `zygote.py` (the parser's processes), `render/` (what runs in them, and
what renders kustomizations and charts),
`secrets/` (SOPS), `compile.py` (documents into checked objects), `declare.py` (objects into one transaction),
`check.py` (the same, offline).
"""
