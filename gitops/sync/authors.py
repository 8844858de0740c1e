"""Who wrote a commit, and what they said of it: read from a source's mirror, which nobody has to fetch for it."""

import asyncio
import re
from pathlib import Path
from typing import Final

from gitops.kinds.commits import CommitFacts
from gitops.kinds.errors import Unavailable
from gitops.sync.git import run

KNOWN_MAX: Final = 2_000  # Of commits, which never change.
READ_SECONDS_MAX: Final = 10.0
TEXT_CHARACTERS_MAX: Final = 500
_ID: Final = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_ENVIRONMENT: Final = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "",  # Reading asks no server.
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
}


class Authors:
    """Asks git once for each commit. `data_dir`: where the mirrors are."""

    def __init__(self, data_dir: Path) -> None:
        self._sources = data_dir / "sources"
        self._known: dict[tuple[str, str], CommitFacts] = {}

    async def __call__(self, source: str, commit: str) -> CommitFacts | None:
        """None: there is no such commit in the mirror, or no mirror. Unavailable: git does not answer."""
        found = self._known.get((source, commit))
        if found is None and (found := await asyncio.to_thread(self._read, source, commit)) is not None:
            if len(self._known) >= KNOWN_MAX:
                self._known.pop(next(iter(self._known)))
            self._known[source, commit] = found
        return found

    def _read(self, source: str, commit: str) -> CommitFacts | None:
        if not _NAME.fullmatch(source) or ".." in source or not _ID.fullmatch(commit):
            return None
        directory = self._sources / source / "mirror.git"
        if not directory.is_dir():
            return None
        arguments = (f"--git-dir={directory}", "log", "--max-count=1", "--no-show-signature", "-z",
                     "--format=%an%x00%at%x00%s", commit, "--")  # fmt: skip
        output = run(
            arguments, environment=_ENVIRONMENT, timeout_seconds=READ_SECONDS_MAX, what=f"source {source}"
        )
        if output.status != 0:
            return None
        author, time, subject, *_ = output.stdout.decode(errors="replace").split("\0")
        if not time.lstrip("-").isdigit():
            raise Unavailable(f"source {source}: git tells no time of commit {commit[:7]}")
        return CommitFacts(author[:TEXT_CHARACTERS_MAX], int(time), subject[:TEXT_CHARACTERS_MAX])
