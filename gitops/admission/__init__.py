"""Admission: the one road into the live objects, for the API, the controllers and tests alike.

Pure: it decides what is to be stored and commits nothing. Imports kinds, reconcile and the store's contract.

Reading order: `admit.py` (create and update), `deletion.py` (delete), `ownership.py` (what git owns); then what they
are made of: `metadata.py` (what only the server sets), `built_in.py` (what some kinds get besides), `allocate.py`
(services' addresses), `priority.py`, `refusal.py` (Kubernetes' words), `settings.py`. `merge.py` is server-side apply and patches, on
`fields.py` (sets of fields); it imports kinds only, so the controller `apply` may import it.
"""

from gitops.admission.admit import admit_create, admit_update
from gitops.admission.deletion import admit_delete
from gitops.admission.metadata import is_released
from gitops.admission.ownership import refuse_if_git_owns
from gitops.admission.settings import Mint, Settings

__all__ = [
    "Mint",
    "Settings",
    "admit_create",
    "admit_delete",
    "admit_update",
    "is_released",
    "refuse_if_git_owns",
]
