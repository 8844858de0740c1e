"""The cluster's DNS on one node: a process of its own (`python -m agent.dns`) that outlives the agent.

May import gitops.kinds and agent.services.table. In reading order: `table` (services and slices -> names: pure),
`answers` (a query -> an answer from the table: pure), `upstream` (everything else), `server` (sockets, cache of wire
answers), `control` (hello and reload over a socket), `__main__`, `driver` (the agent's side; imported by module).
"""

from agent.dns.table import DnsTable, build

__all__ = ["DnsTable", "build"]
