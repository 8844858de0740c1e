"""What pods use of their node: read from cgroups and /proc every few seconds, told when the master asks.

In reading order: `cgroups.py` (one container's counters, both cgroup versions), `node_counters.py` (the machine's and a
network namespace's), `sampler.py` (two samples make a rate), `summary.py` and `exposition.py` (the same as kubelet's
summary and cAdvisor's metrics, pure), `handler.py` (the paths that the master asks for).
"""

from agent.usage.cgroups import CgroupReader
from agent.usage.handler import usage_handler
from agent.usage.sampler import Idle, Sampler

__all__ = ["CgroupReader", "Idle", "Sampler", "usage_handler"]
