"""The volumes of pods: made, filled, kept current, removed. May import `agent.runtime.protocol` and `gitops.kinds`.

In reading order: `references.py` (what a pod names, and opening its values), `downward.py` (its own fields),
`content.py` (the files of a volume) are pure; `volumes.py` puts them on the host with `atomic.py` (swapping files),
`beneath.py` (subPath), `persistent.py` (claims), `host_path.py`, `mounts.py`, `trees.py` (what containers have made)
and `disk.py` (how much that is). `expansion.py` is `$(VAR)`.
"""
