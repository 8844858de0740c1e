"""Container engines behind a dozen verbs: `protocol.py` (the promises), `docker.py`, `fake.py` (a dict).

Imports only `gitops.kinds`. Beside the driver: `pause.py` (the image of a pod's sandbox), `docker_requests.py` (what we
ask Docker for, pure) and `docker_stream.py` (what takes long: logs, events, exec, stop).
"""
