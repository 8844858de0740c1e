"""Container engines behind a dozen verbs: `protocol.py` (the promises), `docker.py`, `fake.py` (a dict).

Imports only `gitops.kinds`. Beside the driver: `pause.py` (the image of a pod's sandbox), `docker_requests.py` (what we
ask Docker for, pure), `docker_stream.py` (what takes long: logs, events, exec, stop) and `docker_sessions.py` with
`processes.py` (exec and attach both ways); `fake_programs.py` (what the fake runs).
"""
