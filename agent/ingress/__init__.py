"""Ingress on one node: HAProxy, a process that outlives the agent, led over its sockets.

May import gitops.kinds, agent.services.table and agent.helpers. In reading order: `routes` (Ingress objects -> who gets
which request, and what is wrong with them: pure), `slots` (which server line holds which endpoint: pure), `haproxy`
(routes and slots -> files: pure), `certificates` (secrets -> PEM), `runtime` (HAProxy's sockets), `driver`.
"""

from agent.ingress.driver import IngressDriver, IngressSettings
from agent.ingress.routes import Plan, Trouble, plan

__all__ = ["IngressDriver", "IngressSettings", "Plan", "Trouble", "plan"]
