"""The life of a pod on its node: one pure state machine, and one task for each pod that carries it out.

May import `agent.runtime`, `agent.volumes`, `agent.probes`, `gitops.kinds`. In reading order: `observed.py` (the
values that the machine takes and gives), `machine.py` (what to do next), `status.py` and `conditions.py` (what the API
is told), `backoff.py`, `resources.py`, `environment.py`, `worker.py` (does it), `following.py` (what the API says of
this node's pods); `admission.py` and `rejection.py` (what the node takes), `pressure.py` (what goes when it runs
short), `static_files.py` and `static_pods.py` (pods of a directory).
"""
