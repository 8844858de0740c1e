"""Commit statuses out: a source's forge is told how each commit fares. Imports kinds, reconcile and the store.

Never in anyone's way: a forge that is slow, gone or refuses costs nothing but its own status. Reading order:
`wanted.py` (what a source's status says, pure), `forges.py` (each forge's call, pure), `tokens.py` (who may be sent a
token), `poster.py` (queue, back-off, what was posted last).
"""
