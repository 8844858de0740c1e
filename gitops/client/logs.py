"""Logging to stderr, of master and agent alike: `HH:MM:SS.mmm level module: message key=value`, a line for each record.

An error meant for people is a line of its own.
"""

import logging
import os
from datetime import UTC, datetime
from typing import Final

from gitops.kinds.errors import GitwardError
from gitops.kinds.printable import shown

LEVELS: Final = ("debug", "info", "warning", "error")
QUIET: Final = ("apscheduler", "aiohttp", "asyncio", "urllib3", "docker", "git", "waitress", "pyroute2")


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        if isinstance(record.msg, GitwardError):
            return "\n".join(shown(line) for line in str(record.msg).splitlines())
        time = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        fields = getattr(record, "fields", {})
        facts = " ".join(f"{name}={value}" for name, value in fields.items())
        line = f"{time} {record.levelname.lower():7} {record.name}: {record.getMessage()} {facts}".rstrip()
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return shown(line) + trace


def configure(level: str | None = None) -> None:
    """To stderr, from `GITWARD_LOG_LEVEL` (default info). Libraries are heard from warning on."""
    wanted = level or os.environ.get("GITWARD_LOG_LEVEL", "info")
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines())
    logging.basicConfig(
        level=(wanted if wanted in LEVELS else "info").upper(), handlers=[handler], force=True
    )
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
