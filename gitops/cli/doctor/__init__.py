"""`gitward doctor`: whether a host can do what it is asked to, and what to do where it cannot.

Read `facts.py` (what is known of a host), `checks.py` with `host.py`, `engine.py` and `network.py` (pure: facts to
findings), then `collect.py` (the only module that asks the host), `parsing.py` (what the host answers), `trial.py` (a
process that tries the kernel in a network namespace of its own) and `report.py` (the command, and the gate of `up`).
"""
