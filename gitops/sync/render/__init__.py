"""The parser's child: texts in, JSON trees out, without keys or network. And kustomizations and charts, rendered.

Reading order: `parse.py` (one file), `child.py` (the parser's process), `isolate.py` (what it gives up first);
`forks.py` and `fork_server.py` (how processes of both kinds are made). For renders: `roots.py` and `charts.py` (what
is rendered, and how), `tree.py` and `disk.py` (of which files), `plan.py` (what a render depends on), `renderer.py`
(all of it), `kept.py` (over restarts); `binaries.py` (kubectl and helm), `sandbox.py`, `box.py` and `confine.py` (how
they run); `words.py` (what they say), `origins.py` (where it is stated), `unseal.py` (encrypted values in what they
put out).
"""
