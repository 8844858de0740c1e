"""The runner: the only place that runs controllers and writes what they return.

Imports kinds, reconcile, view, store and admission. `Runner.step()` decides one transaction and `Runner.settle()` takes
its outcome; neither awaits, so production (`Runner.run()`) and the simulator share them.

Reading order: `runner.py` (the loop), `transaction.py` (from `Writes` to a transaction), `queue.py` (what is due next).
"""

from gitops.runner.runner import Clock, Decision, Runner, Settings
from gitops.runner.transaction import Context, transaction

__all__ = ["Clock", "Context", "Decision", "Runner", "Settings", "transaction"]
