"""`gitward bench services`: one endpoint changes among many services, and answers of DNS.

Ours is what the agent does with a new service table: compare, render, write. The peer is kube-proxy's shape of rules, a
chain for each service and endpoint, written whole by one `iptables-restore` in the same run and namespace. kube-proxy
since 1.28 writes less at most changes: all dispatching rules and the chains that changed; that is shown beside it.
"""

import asyncio
import ctypes
import os
import subprocess
import time
from hashlib import sha256
from statistics import median
from typing import Final

from agent.services import RuleSettings, ServicesDriver, ServiceTable
from agent.services.backend import run
from agent.services.table import Backend, ServicePort
from gitops.cli.bench import dns
from gitops.kinds.errors import BadRequest

IPTABLES_SERVICES: Final = 1_000
NFTABLES_SERVICES: Final = 10_000
GOAL_IPTABLES_MAX: Final = 1.0
GOAL_NFTABLES_MAX: Final = 0.05
CHANGES: Final = 5  # Of ours in each run; the median counts.
CLONE_NEWNET: Final = 0x40000000
SETTINGS: Final = RuleSettings("10.77.1.0/24", "10.77.0.0/16", "10.78.0.0/16", "10.77.1.1", "10.78.0.10")
PARTIAL_SERVICES_MAX: Final = 1_000  # Of more it takes as long as the whole, which is long enough.
RESTORE_SECONDS_MAX: Final = 600
RESTORE: Final = ("iptables-restore", "--noflush", "-w", "5")


def run_bench(*, runs: int) -> None:
    """Print three ratios. BadRequest: not root, or what DNS is measured with is not installed."""
    _enter_namespace()
    dns.check_programs()
    dns.run_bench(runs=runs)
    _rules("iptables", IPTABLES_SERVICES, GOAL_IPTABLES_MAX, runs)
    _rules("nftables", NFTABLES_SERVICES, GOAL_NFTABLES_MAX, 1)  # The peer's load takes many seconds here.


def _enter_namespace() -> None:
    """An empty network namespace of this process: no rule of this host is touched, and all goes with us."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0 or libc.unshare(CLONE_NEWNET) != 0:
        raise BadRequest("bench services needs root, for a network namespace of its own: use sudo")
    run(("ip", "link", "set", "lo", "up"))


def _rules(proxy: str, count: int, goal_max: float, runs: int) -> None:
    before, after = _table(count, moved=False), _table(count, moved=True)
    ours, whole, partial = [], [], []
    for _ in range(runs):
        ours.append(_ours(proxy, before, after))
        whole.append(_restore(_kube(before)))
        if count <= PARTIAL_SERVICES_MAX:
            partial.append(_restore(_kube(after, only=count // 2)))
        for table in ("nat", "filter"):
            run(("iptables", "-t", table, "-F"))
            run(("iptables", "-t", table, "-X"))
    one, peer = median(ours), median(whole)
    print(
        f"one endpoint changes among {count} services, {proxy}: {one * 1000:.1f} ms, "
        f"kube-proxy's shape written whole {peer * 1000:.1f} ms, ratio {one / peer:.4f} (goal <= {goal_max})"
    )
    if partial:
        least = median(partial)
        print(f"  its least at a change {least * 1000:.1f} ms, ratio {one / least:.2f}")


def _ours(proxy: str, before: ServiceTable, after: ServiceTable) -> float:
    async def measure() -> list[float]:
        driver = ServicesDriver(SETTINGS, proxy)
        try:
            await driver.apply(before)
            taken = []
            for number in range(CHANGES):
                began = time.perf_counter()
                await driver.apply(before if number % 2 else after)
                taken.append(time.perf_counter() - began)
            return taken
        finally:
            await driver.apply(ServiceTable())
            await driver.close()

    return median(asyncio.run(measure()))


def _restore(text: str) -> float:
    began = time.perf_counter()
    subprocess.run(RESTORE, input=text, text=True, check=True, timeout=RESTORE_SECONDS_MAX)
    return time.perf_counter() - began


def _table(count: int, *, moved: bool) -> ServiceTable:
    """Two endpoints each; `moved`: one of the service in the middle has another address."""
    ports = []
    for number in range(count):
        last = 3 if moved and number == count // 2 else 2
        backends = (Backend(f"10.77.{number % 250}.1", 8080), Backend(f"10.77.{number % 250}.{last}", 8080))
        address = f"10.78.{number // 200 + 1}.{number % 200 + 20}"
        ports.append(ServicePort(f"shop/web-{number}", "tcp", address, 80, backends))
    return ServiceTable(tuple(ports))


def _kube(table: ServiceTable, only: int | None = None) -> str:
    """As kube-proxy 1.35 writes iptables' nat table; `only`: with the chains of this service alone."""
    chains, rules = [":KUBE-SERVICES - [0:0]"], []
    dispatch = []
    for number, port in enumerate(table.ports):
        service = f"KUBE-SVC-{_hash(port.name)}"
        dispatch.append(
            f'-A KUBE-SERVICES -m comment --comment "{port.name} cluster IP" -m tcp -p tcp -d {port.address}'
            f" --dport {port.port} -j {service}"
        )
        if only not in (None, number):
            continue
        chains.append(f":{service} - [0:0]")
        for place, backend in enumerate(port.backends):
            endpoint = f"KUBE-SEP-{_hash(f'{port.name}{place}')}"
            chains.append(f":{endpoint} - [0:0]")
            share = "" if place else "-m statistic --mode random --probability 0.5000000000 "
            rules += [
                f'-A {service} -m comment --comment "{port.name} -> {backend.address}:{backend.port}" {share}'
                f"-j {endpoint}",
                f"-A {endpoint} -m comment --comment {port.name} -m tcp -p tcp -j DNAT --to-destination "
                f"{backend.address}:{backend.port}",
            ]
    return "\n".join(("*nat", *chains, *dispatch, *rules, "COMMIT", ""))


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16].upper()
