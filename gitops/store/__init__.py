"""The state store: a multi-version map of objects; visible means durable. May import kinds, reconcile and view.

Backends are imported by module, only by composition roots and tests: `memory`, `sqlite`.
Reading order: contract.py (what is promised), decide.py (what a transaction does), ahead.py (what is decided but not
yet durable), feed.py (view, history in memory, watches), memory.py; seal.py (secrets at rest), pack.py (small bodies),
sqlite.py (the loop's side), sqlite_writer.py (the thread's), sqlite_file.py, sqlite_bodies.py, sqlite_history.py,
sqlite_compact.py, sqlite_migrate.py, sqlite_backup.py.
"""

from gitops.store.contract import (
    ABSENT,
    OPS_MAX,
    Batch,
    Change,
    Committed,
    Delete,
    Floors,
    Position,
    Put,
    Revision,
    Scope,
    SourceCommit,
    Store,
    StoreUnusable,
    Txn,
    position,
)

__all__ = [
    "ABSENT",
    "OPS_MAX",
    "Batch",
    "Change",
    "Committed",
    "Delete",
    "Floors",
    "Position",
    "Put",
    "Revision",
    "Scope",
    "SourceCommit",
    "Store",
    "StoreUnusable",
    "Txn",
    "position",
]
