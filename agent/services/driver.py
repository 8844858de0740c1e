"""Brings the host's rules, of iptables or of both, to a service table, and keeps them there when others flush them.

All commands run on one thread, in order. What was applied is kept as rules, so that a change touches only what differs;
whenever that may not be true any more, everything is written again.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from agent.services import backend, conntrack, iptables, nft, nftables
from agent.services.backend import Iptables
from agent.services.flows import Flows
from agent.services.iptables import Rules
from agent.services.nft import Nft
from agent.services.settings import PeerRange, RuleSettings
from agent.services.table import ServiceTable
from gitops.kinds.errors import Unavailable

log = logging.getLogger(__name__)

TABLES: Final = ("filter", "nat")
NFT_SERVICES_MIN: Final = 500  # From here on iptables' linear lists cost more than they are worth.


class ServicesDriver:
    """`applied`: the table that the rules say now; None before the first one."""

    def __init__(self, settings: RuleSettings, proxy: str = "auto") -> None:
        """`proxy`: auto, iptables or nftables."""
        self.applied: ServiceTable | None = None
        self._settings = settings
        self._iptables: Iptables | None = None
        self._rules: Rules | None = None  # None: the host's rules are not known to be ours.
        self._seen: tuple[str, ...] | None = (
            None  # Our part of iptables-save, as it was right after we wrote.
        )
        self._proxy = proxy
        self._nft: Nft | None = None
        self._nat: tuple[ServiceTable, RuleSettings] | None = (
            None  # None: nftables holds nothing that is known to be ours.
        )
        self._nat_seen: str | None = None
        self._nat_is_gone = False
        self._thread = ThreadPoolExecutor(1, "iptables")
        self._flows = Flows(conntrack.listed)

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
        flows = conntrack.flows_to(await self._flows.look(), pod_ip)
        return conntrack.open_flows(flows, pod_ip, self._settings.gateway)

    async def forget(self, pod_ip: str) -> None:
        """No packet of a flow with this pod finds the next one that gets its address. Raises Unavailable."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(
            self._thread, lambda: None
        )  # What is under way may be rules that lead to it.
        if conntrack.names(await self._flows.look(), pod_ip):
            await loop.run_in_executor(self._thread, conntrack.forget_pod, pod_ip)

    async def close(self) -> None:
        """The rules stay."""
        await asyncio.to_thread(self._thread.shutdown)

    def _take_over(self) -> bool:
        return iptables.is_guarded(self._settings, self._save())

    def _apply(self, table: ServiceTable) -> None:
        by_nft = self._is_for_nft(table)
        rules = iptables.render(table, self._settings, with_nat=not by_nft)
        if self._rules is None or bool(self._rules["nat"]) == by_nft:
            self._write_all(rules, table if by_nft else None)
        elif text := iptables.restore_changes(self._rules, rules):
            try:
                self._program().restore(text)
                self._seen = None
            except Unavailable as error:
                log.warning(
                    "service rules were changed by someone else", extra={"fields": {"error": str(error)}}
                )
                self._write_all(rules)
        if not by_nft:
            self._remove_nat()
        elif self._nat is None or self._nat[0] is not table:
            self._apply_nat(table)
        for forgotten in conntrack.gone_udp(self.applied or ServiceTable(), table):
            conntrack.forget(forgotten)
        self._rules, self.applied = rules, table

    def _is_for_nft(self, table: ServiceTable) -> bool:
        """Once there, it stays: a number of services that goes up and down must not rewrite everything each time."""
        if self._proxy != "auto":
            return self._proxy == "nftables"
        return self._nat is not None or (len(table.ports) > NFT_SERVICES_MIN and nft.is_usable())

    def _apply_nat(self, table: ServiceTable) -> None:
        if self._nft is None:
            self._nft = Nft()
        if self._nat is not None and nftables.base(self._nat[1]) == nftables.base(self._settings):
            try:
                if text := nftables.changes(self._nat[0], table, self._settings):
                    self._nft.load(text)
            except Unavailable as error:
                log.warning(
                    "service rules were changed by someone else", extra={"fields": {"error": str(error)}}
                )
            else:
                if self._nat[0].outside != table.outside:
                    self._nat_seen = None
                self._nat = table, self._settings
                return
        self._write_nat(self._nft, table)

    def _write_nat(self, program: Nft, table: ServiceTable) -> None:
        self._nat = self._nat_seen = None
        program.load(nftables.load_all(table, self._settings))
        self._nat = table, self._settings

    def _remove_nat(self) -> None:
        """What an earlier agent, told otherwise, left."""
        if not self._nat_is_gone and nft.is_usable():
            program = Nft()
            if program.chains():
                program.remove()
        self._nat_is_gone = True

    def _check(self) -> bool:
        if self._rules is None:
            return True
        fine = self._check_iptables(self._rules)
        return self._check_nat() and fine

    def _check_nat(self) -> bool:
        if self._nat is None or self._nft is None:
            return True
        seen = self._nft.chains()
        if self._nat_seen is None:
            # nft's spelling of what we wrote is learnt here, if nothing is missing.
            if seen.count("chain ") == nftables.chains(*self._nat):
                self._nat_seen = seen
                return True
        elif seen == self._nat_seen:
            return True
        log.warning("service rules were flushed by someone else: put back")
        self._write_nat(self._nft, self._nat[0])
        return False

    def _check_iptables(self, rules: Rules) -> bool:
        ours = tuple(line for text in self._save().values() for line in iptables.our_rules(text))
        if self._seen is None:
            # The kernel's spelling of what we wrote is learnt here, if nothing is missing.
            wanted = sum(len(content) for chains in rules.values() for content in chains.values())
            if len(ours) == wanted + len(iptables.jumps(self._settings, nat=bool(rules["nat"]))):
                self._seen = ours
                return True
        elif ours == self._seen:
            return True
        log.warning("service rules were flushed by someone else: put back")
        self._write_all(rules)
        return False

    def _write_all(self, rules: Rules, nat: ServiceTable | None = None) -> None:
        """What keeps strangers out comes first. `nat`: for nftables, before iptables' own part goes: both lead to the
        same endpoints, and for a moment there are two."""
        self._rules = self._seen = None
        saved = self._save()
        for table in TABLES:
            if table == "nat" and nat is not None:
                self._apply_nat(nat)
            if text := iptables.restore_all(rules, self._settings, saved, only=table):
                self._program().restore(text)
        self._rules = rules

    def _save(self) -> dict[str, str]:
        return {table: self._program().save(table) for table in TABLES}

    def _program(self) -> Iptables:
        if self._iptables is None:
            self._iptables = backend.find()
            log.info("iptables found", extra={"fields": {"program": self._iptables.program}})
        return self._iptables
