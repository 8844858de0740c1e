"""`gitward doctor`, and the gate that `up` and `agent` pass the first time that they run on a data directory."""

import json
import os
import traceback
from collections import Counter
from pathlib import Path
from typing import Final

from gitops.cli.doctor.checks import findings
from gitops.cli.doctor.facts import Role, Wanted
from gitops.cli.doctor.findings import Finding, Level
from gitops.cli.output import columns, emit
from gitops.cli.usage import HostUnfit
from gitops.kinds.errors import Unavailable

SIGNS: Final = {Level.OK: "ok", Level.WARNING: "WARNING", Level.ERROR: "ERROR"}


def run_doctor(wanted: Wanted, output: str) -> None:
    """Print every finding. Raises HostUnfit, when all is printed, if one of them is an error."""
    found = _look(wanted, thorough=True)
    emit([one._asdict() for one in found], output, _table(found))
    errors = sum(one.level is Level.ERROR for one in found)
    if errors:
        raise HostUnfit(f"{_counted(errors, Level.ERROR)}: gitward {wanted.role} would not start here")


def refuse_if_unfit(wanted: Wanted) -> None:
    """Before anything is made. Raises Unavailable with the words of `gitward doctor`, all errors at once.

    Only where nothing was started yet: a node that has pods waits for an engine that is away, and keeps them.
    """
    if _was_here(wanted):
        return
    errors = [one for one in _look_in_a_child(wanted) if one.level is Level.ERROR]
    if errors:
        lines = "".join(f"\n  {one}" for one in errors)
        raise Unavailable(f"this host is not ready (`gitward doctor` shows all that was looked at):{lines}")


def _look(wanted: Wanted, *, thorough: bool) -> list[Finding]:
    from gitops.cli.doctor.collect import (
        collect,
    )  # Docker, netlink and DNS: 20 MB that a master does without.

    return findings(collect(wanted, thorough=thorough))


def _look_in_a_child(wanted: Wanted) -> list[Finding]:
    """A fork, whose memory goes with it. Before there is any thread."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(reading)
            with os.fdopen(writing, "w") as told:
                json.dump([list(one) for one in _look(wanted, thorough=False)], told)
            code = 0
        except BaseException:  # noqa: BLE001 # The top of a process: nobody else would tell.
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as told:
        text = told.read()
    _, status = os.waitpid(pid, 0)
    if status != 0:
        raise Unavailable("looking at this host failed; `gitward doctor` shows where")
    return [Finding(check, Level(level), found, advice) for check, level, found, advice in json.loads(text)]


def _was_here(wanted: Wanted) -> bool:
    made: Path = wanted.data_dir / ("agent" if wanted.role is Role.AGENT else "pki")
    return made.exists()


def _table(found: list[Finding]) -> str:
    rows = [(SIGNS[one.level], one.check, one.found) for one in found]
    text = columns(("", "CHECK", "FOUND"), rows)
    todo = [one for one in found if one.advice or one.level is not Level.OK]
    advice = "".join(
        f"{SIGNS[one.level]} {one}\n" for one in sorted(todo, key=lambda one: one.level is Level.WARNING)
    )
    counts = Counter(one.level for one in found)
    words = (_counted(counts[level], level) for level in Level if counts[level])
    summary = ", ".join(words)
    return f"{text}\n{advice}{summary}\n"


def _counted(count: int, level: Level) -> str:
    return f"{count} {level}" + ("" if count == 1 or level is Level.OK else "s")
