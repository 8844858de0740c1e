"""Container engines behind a dozen verbs: `protocol.py` (the promises), `docker.py`, `fake.py` (a dict).

Imports only `gitops.kinds`. Beside the driver: `pause.py` (the image of a pod's sandbox), `docker_sandboxes.py` with
`unshared.py` (one that makes its network itself), `slot.py`, `docker_requests.py` (what we ask Docker for, pure),
`docker_calls.py` (short questions), `docker_ends.py` with `signals.py` (stop and remove), `docker_stream.py` (what
takes long: logs, events, exec), `runc.py` (exec without the daemons), `docker_sessions.py` with `processes.py` (exec
and attach both ways), `log_files.py` (logs -f where the engine begins a new file); `fake_programs.py` (what the fake
runs).
"""
