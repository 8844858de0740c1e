"""What `gitward down` removes of a node's network: all that bears this cluster's marks, and nothing else.

Everything is found by what the kernel and /proc say, so the data directory may be gone; only the originals of sysctls
lie there. Each step may be repeated. Blocking.
"""

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from shutil import rmtree, which
from time import monotonic, sleep
from typing import Final

from agent.helpers import RECORD_SUFFIX, Record, is_alive, start_time
from agent.network import overlay, sysctls
from agent.network.bridge import delete_routes
from agent.network.links import marked
from agent.network.netlink import IPRoute, NetlinkError
from agent.network.settings import BRIDGE, OVERLAY, cluster_of_alias
from agent.services import nft
from agent.services.backend import LEGACY_TABLES, Iptables
from agent.services.driver import TABLES
from agent.services.iptables import restore_nothing
from agent.services.nftables import TABLE
from agent.volumes.mounts import mounts_under, unmount
from gitops.kinds.errors import Unavailable

STOP_SECONDS_MAX: Final = 3.0
POLL_SECONDS: Final = 0.02


def remove(*, cluster: str | None, network_state_dir: Path, run_dir: Path, data_dir: Path) -> list[str]:
    """Remove it all; the lines say what was done. `cluster` None: whoever owns gw0. Mounts under `data_dir` go too."""
    done = [f"stopped {name} (process {pid})" for name, pid in _stop_helpers(run_dir)]
    owner = bridge_owner()
    if owner is not None and cluster is not None and owner != cluster:
        # Rules and routes bear no cluster's name: the bridge is the lock, and whoever has it owns them.
        done.append(f"left the network to cluster {owner}, which holds {BRIDGE}")
    else:
        done += _remove_rules()
        sysctls.restore(
            network_state_dir
        )  # Before the bridge goes: as long as that is there, `down` is not finished.
        done += _remove_links(cluster or owner)
    for point in mounts_under(data_dir):
        if point != data_dir:  # The operator's own disk, or what our container was given.
            unmount(point)
            done.append(f"unmounted {point}")
    rmtree(run_dir, ignore_errors=True)
    return done


def bridge_owner() -> str | None:
    """The cluster that gw0 names; None: no such bridge, or not ours."""
    with IPRoute() as ipr:
        for index in ipr.link_lookup(ifname=BRIDGE):
            return cluster_of_alias(ipr.get_links(index)[0].get_attr("IFLA_IFALIAS") or "")
    return None


def _stop_helpers(run_dir: Path) -> Iterator[tuple[str, int]]:
    """By what they were started with, so that workers and forgotten ones are found too."""
    found = [(name, Record(pid=pid, started=start_time(pid))) for pid, name in _processes_of(run_dir)]
    for number in (signal.SIGTERM, signal.SIGKILL):
        for _, record in found:
            if is_alive(record):
                with suppress(ProcessLookupError):
                    os.kill(record["pid"], number)
        end = monotonic() + STOP_SECONDS_MAX
        while any(is_alive(record) for _, record in found) and monotonic() < end:
            sleep(POLL_SECONDS)
    for path in run_dir.glob(f"*{RECORD_SUFFIX}"):
        path.unlink(missing_ok=True)
    yield from ((name, record["pid"]) for name, record in found)


def _processes_of(run_dir: Path) -> Iterator[tuple[int, str]]:
    """DNS and proxy name their socket in this directory on their command line; no other program of ours does."""
    sockets = {f"{run_dir}/dns.sock": "dns", f"{run_dir}/haproxy.sock,mode,600": "haproxy"}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                for word in (entry / "cmdline").read_bytes().split(b"\0"):
                    if name := sockets.get(word.decode(errors="replace")):
                        yield int(entry.name), name


def _remove_rules() -> Iterator[str]:
    """From both backends: which one was in use may have changed since."""
    programs = ["iptables-nft"] if which("iptables-nft") else ["iptables"]
    if which("iptables-legacy") and LEGACY_TABLES.exists() and LEGACY_TABLES.read_text().strip():
        programs.append("iptables-legacy")
    for program in (Iptables(name) for name in programs if which(name)):
        try:
            text = restore_nothing({table: program.save(table) for table in TABLES})
        except Unavailable:
            continue  # This kernel lacks the backend: so it holds nothing of ours.
        if text:
            program.restore(text)
            yield f"removed chains GITWARD-… ({program.program})"
    if nft.is_usable():
        table = nft.Nft()
        if table.chains():
            table.remove()
            yield f"removed table {TABLE} (nftables)"


def _remove_links(cluster: str | None) -> Iterator[str]:
    with IPRoute() as ipr:
        for index, mark in list(marked(ipr)):
            if mark.cluster == cluster:
                _delete_link(ipr, index)
                yield f"removed the link of pod {mark.uid} ({mark.address})"
        if overlay_owner(ipr) == cluster is not None and overlay.remove(ipr):
            yield f"removed {OVERLAY}, the way to other nodes"
        delete_routes(ipr)
        for index in (
            ipr.link_lookup(ifname=BRIDGE) if cluster is not None and bridge_owner() == cluster else ()
        ):
            _delete_link(ipr, index)
            yield f"removed {BRIDGE}, its addresses and routes"


def overlay_owner(ipr: IPRoute) -> str | None:
    """The cluster that the link to other nodes names."""
    for index in ipr.link_lookup(ifname=OVERLAY):
        return cluster_of_alias(ipr.get_links(index)[0].get_attr("IFLA_IFALIAS") or "")
    return None


def _delete_link(ipr: IPRoute, index: int) -> None:
    try:
        ipr.link("del", index=index)
    except NetlinkError as error:
        if error.code != errno.ENODEV:  # A pod's link dies with the pod's namespace, perhaps just now.
            raise Unavailable(f"cannot remove link {index}: {error}") from error
