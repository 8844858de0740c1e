"""Brings the host's iptables rules to a service table, and keeps them there when others flush them.

All commands run on one thread, in order. What was applied is kept as rules, so that a change touches only what differs;
whenever that may not be true any more, everything is written again.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from agent.services import backend, conntrack, iptables
from agent.services.backend import Iptables
from agent.services.iptables import Rules
from agent.services.settings import PeerRange, RuleSettings
from agent.services.table import ServiceTable
from gitops.kinds.errors import Unavailable

log = logging.getLogger(__name__)

TABLES: Final = ("filter", "nat")


class ServicesDriver:
    """`applied`: the table that the rules say now; None before the first one."""

    def __init__(self, settings: RuleSettings) -> None:
        self.applied: ServiceTable | None = None
        self._settings = settings
        self._iptables: Iptables | None = None
        self._rules: Rules | None = None  # None: the host's rules are not known to be ours.
        self._seen: tuple[str, ...] | None = (
            None  # Our part of iptables-save, as it was right after we wrote.
        )
        self._thread = ThreadPoolExecutor(1, "iptables")

    async def take_over(self) -> bool:
        """Whether an earlier agent's rules stand here: they serve until the first table replaces them in one step."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._take_over)

    def let_in(self, peers: tuple[PeerRange, ...]) -> None:
        """Whose packets pods get, from the next `apply` on."""
        self._settings = replace(self._settings, peers=peers)

    async def apply(self, table: ServiceTable) -> None:
        """The rules are `table`'s when this returns. Raises Unavailable with iptables' words."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._apply, table)

    async def check(self) -> bool:
        """Whether the rules were as we left them; if not they are put back. Raises Unavailable."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._check)

    async def open_flows(self, pod_ip: str) -> int:
        """TCP connections of others to this pod, by service or directly, that could carry a request."""
        flows = await asyncio.to_thread(conntrack.flows_to, pod_ip)
        return conntrack.open_flows(flows, pod_ip, self._settings.gateway)

    async def forget(self, pod_ip: str) -> None:
        """No packet of a flow with this pod finds the next one that gets its address. Raises Unavailable."""
        await asyncio.get_running_loop().run_in_executor(self._thread, conntrack.forget_pod, pod_ip)

    async def close(self) -> None:
        """The rules stay."""
        await asyncio.to_thread(self._thread.shutdown)

    def _take_over(self) -> bool:
        return iptables.is_guarded(self._settings, self._save())

    def _apply(self, table: ServiceTable) -> None:
        rules = iptables.render(table, self._settings)
        if self._rules is None:
            self._write_all(rules)
        elif text := iptables.restore_changes(self._rules, rules):
            try:
                self._program().restore(text)
                self._seen = None
            except Unavailable as error:
                log.warning(
                    "service rules were changed by someone else", extra={"fields": {"error": str(error)}}
                )
                self._write_all(rules)
        for forgotten in conntrack.gone_udp(self.applied or ServiceTable(), table):
            conntrack.forget(forgotten)
        self._rules, self.applied = rules, table

    def _check(self) -> bool:
        if self._rules is None:
            return True
        ours = tuple(line for text in self._save().values() for line in iptables.our_rules(text))
        if self._seen is None:
            # The kernel's spelling of what we wrote is learnt here, if nothing is missing.
            wanted = sum(len(content) for chains in self._rules.values() for content in chains.values())
            if len(ours) == wanted + len(iptables.jumps(self._settings)):
                self._seen = ours
                return True
        elif ours == self._seen:
            return True
        log.warning("service rules were flushed by someone else: put back")
        self._write_all(self._rules)
        return False

    def _write_all(self, rules: Rules) -> None:
        self._rules = self._seen = None
        self._program().restore(iptables.restore_all(rules, self._settings, self._save()))
        self._rules = rules

    def _save(self) -> dict[str, str]:
        return {table: self._program().save(table) for table in TABLES}

    def _program(self) -> Iptables:
        if self._iptables is None:
            self._iptables = backend.find()
            log.info("iptables found", extra={"fields": {"program": self._iptables.program}})
        return self._iptables
