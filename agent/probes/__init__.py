"""Probes of containers: http, tcp, grpc and exec. May import `agent.runtime.protocol` and `gitops.kinds`.

In reading order: `tally.py` (when results count, pure), `checks.py` and `grpc.py` (one probe made), `prober.py` (the
loop of one container, whose verdict the pod's machine acts on).
"""
