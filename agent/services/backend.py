"""Which iptables this host uses, nft or legacy, and running it. Rules in both would be judged one after the other."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gitops.kinds.errors import Unavailable

LOCK_SECONDS: Final = 5  # How long a command waits for others' iptables commands (`-w`).
COMMAND_SECONDS_MAX: Final = 30
LEGACY_TABLES: Final = Path("/proc/net/ip_tables_names")


@dataclass(frozen=True, slots=True)
class Iptables:
    """`program`: iptables, iptables-nft or iptables-legacy. Its -save and -restore have the same beginning."""

    program: str

    def restore(self, text: str) -> None:
        run((f"{self.program}-restore", "--noflush", "-w", str(LOCK_SECONDS)), text)

    def save(self, table: str) -> str:
        return run((f"{self.program}-save", "-t", table))


def choose(*, default_is_legacy: bool, legacy_has_rules: bool, nft_has_rules: bool) -> str:
    """The host's default, unless only the other one holds rules. Pure."""
    if default_is_legacy:
        return "iptables-nft" if nft_has_rules and not legacy_has_rules else "iptables"
    return "iptables-legacy" if legacy_has_rules and not nft_has_rules else "iptables"


def find() -> Iptables:
    """Raises Unavailable if there is no iptables at all."""
    default_is_legacy = "nf_tables" not in run(("iptables", "-V"))
    # Asking would load the legacy modules where nobody uses them: the kernel's list is looked at first.
    legacy = "-A " in _try(("iptables-legacy-save",)) if _legacy_is_loaded() else False
    nft = "-A " in _try(("iptables-nft-save",))
    return Iptables(choose(default_is_legacy=default_is_legacy, legacy_has_rules=legacy, nft_has_rules=nft))


def _legacy_is_loaded() -> bool:
    return LEGACY_TABLES.exists() and bool(LEGACY_TABLES.read_text().strip())


def _try(command: Sequence[str]) -> str:
    try:
        return run(command)
    except Unavailable:
        return ""  # Not installed, or not in this kernel: so it holds no rules.


def run(command: Sequence[str], text: str | None = None) -> str:
    """Its output. Raises Unavailable with the program's own words."""
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX, check=False
        )
    except FileNotFoundError as error:
        raise Unavailable(f"{command[0]} is not installed on this node") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{' '.join(command)}: {error}") from error
    if done.returncode != 0:
        raise Unavailable(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout
