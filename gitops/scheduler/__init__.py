"""The scheduler: which node a pod runs on. Pure, like the controllers; imports kinds and reconcile.

Every decision starts from what the view shows. So that two pods never get what is free only once, the runner lets one
binding be in flight at a time (`Controller.serial`); it still shares the fsync of other commits.

Reading order: `scheduler.py` (one pod), `nodes.py` (what a node has, and what its pods take), `filters.py` (where it
fits and why not elsewhere), `scores.py` (the best of those).
"""

from gitops.scheduler.scheduler import SCHEDULER

__all__ = ["SCHEDULER"]
