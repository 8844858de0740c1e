"""The scheduler: which node a pod runs on. Pure, like the controllers; imports kinds and reconcile.

A round decides many pods from one view, and the runner lets the next one begin when all bindings of this one are known
(`Controller.serial`, `together`), so no place is given twice. Sums over nodes and pods are kept beside the view; they
are what counting everything would give.

Reading order: `scheduler.py` (a round), `choice.py` (one pod among all nodes), `filters.py` and `neighbours.py` (where
it fits, by the node and by other pods), `scores.py` (the best of those), `preemption.py` (who has to leave);
`template.py` (what equal pods share), `state.py` (nodes and sums), `volumes.py` (claims and where their volumes are),
`nodes.py` (taints).
"""

from gitops.scheduler.scheduler import SCHEDULER

__all__ = ["SCHEDULER"]
