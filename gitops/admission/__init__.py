"""Admission: the one road into the live objects, for the API, the controllers and tests alike.

Pure: it decides what is to be stored and commits nothing. Imports kinds, reconcile and the store's contract.

Reading order: `admit.py` (create and update), `deletion.py` (delete), `ownership.py` (what git owns); then what they
are made of: `metadata.py` (what only the server sets), `built_in.py` (what some kinds get besides), `allocate.py`
(services' addresses), `node_ports.py` (ways into them from outside), `priority.py`, `runtime_class.py`,
`service_account.py`, `pod_security.py` (how far a pod may go), `refusal.py` (Kubernetes' words), `settings.py`.
`merge.py` is server-side apply, on `fields.py` (sets of fields); it imports kinds only, so the controller `apply` may
import it. `patches.py` (merge patch, JSON patch) and `strategic.py` are the other ways to change an object.
"""

from gitops.admission.admit import admit_create, admit_update
from gitops.admission.deletion import Propagation, admit_delete
from gitops.admission.metadata import is_released
from gitops.admission.ownership import refuse_create, refuse_delete, refuse_update
from gitops.admission.settings import Mint, Settings

__all__ = [
    "Mint",
    "Propagation",
    "Settings",
    "admit_create",
    "admit_delete",
    "admit_update",
    "is_released",
    "refuse_create",
    "refuse_delete",
    "refuse_update",
]
