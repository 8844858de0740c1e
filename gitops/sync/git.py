"""One run of git: fixed argument vectors through GitPython's runner, a clean environment, limits in time and size.

Repositories are hostile, servers too. No hooks, no file system monitor, no submodules, no redirects, no prompts; git's
environment variables of whoever started us are not inherited. What else git is told: `access.py`.
"""

import os
import re
import selectors
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from typing import Final, NamedTuple, cast
from urllib.parse import urlsplit

import git
from git.cmd import Git

from gitops.kinds.errors import BadRequest, Unavailable

FILE_BYTES_MAX: Final = 2 << 30  # Of one file that git writes, so of one pack.
OUTPUT_BYTES_MAX: Final = 64 << 20
BARE: Final = "BARE"  # In an environment: nothing of ours is handed on but what git needs to run.
_RUNS: Final = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ")
_URL: Final = re.compile(r"(https|http|ssh|file)://|(?!-)[\w.-]+@(?!-)[\w.-]+:(?!//)")

_HARDENED: Final = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "protocol.version=2",
    "fetch.fsckObjects=true",
    "fetch.unpackLimit=1",  # One pack file, so that the limit on a file's size bounds a fetch.
    "http.followRedirects=false",  # Credentials must not follow to another host.
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=30",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "safe.bareRepository=explicit",
    "advice.detachedHead=false",
    "log.showSignature=false",  # The operator's configuration may ask for it; we read what `log` says.
)


class Output(NamedTuple):
    status: int
    stdout: bytes
    stderr: str


def checked_url(url: str, *, trusted: bool = True) -> str:
    """The URL as git gets it; an absolute path becomes `file://`. BadRequest: nothing that git should see.

    `trusted`: the operator names it. What an object names may be reached by https and ssh only.
    """
    if url.startswith("/"):
        url = f"file://{url}"
    if not _URL.match(url) or any(character.isspace() or not character.isprintable() for character in url):
        raise BadRequest(
            f"{url!r} is no URL of a repository: wanted https://, ssh://, http://, file:// or user@host:path"
        )
    if not trusted and url.startswith(("http://", "file://")):
        raise BadRequest(
            f"{shown_url(url)}: a source that an object states is reached by https:// or ssh; "
            "http:// and file:// are for the operator's flags and gitward.yaml"
        )
    if "://" in url and urlsplit(url).password:
        raise BadRequest(f"{shown_url(url)}: a password in the URL would show; use --git-credentials-file")
    if "://" in url and (urlsplit(url).hostname or "").startswith("-"):
        raise BadRequest(f"{url!r}: a host name does not begin with '-'")
    return url


def shown_url(url: str) -> str:
    """Without user and password, for messages."""
    return re.sub(r"://[^/@]*@", "://", url)


def run(
    arguments: tuple[str, ...],
    *,
    environment: Mapping[str, str],
    timeout_seconds: float,
    what: str,
    running: "set[subprocess.Popen[bytes]] | None" = None,
) -> Output:
    """Run git to its end. Unavailable: it took too long or said too much; `what` names it in that message.

    `running`: holds the process as long as it runs, for whoever may have to `kill` it from another thread.
    """
    process = start(arguments, environment=environment)
    held = set() if running is None else running
    held.add(process)
    try:
        stdout, stderr = _drained(process, monotonic() + timeout_seconds)
    except (TimeoutError, OverflowError) as error:
        raise Unavailable(f"{what}: {error}") from error
    finally:
        held.discard(process)
        end(process)
    return Output(process.returncode, stdout, stderr.decode(errors="replace"))


def start(
    arguments: tuple[str, ...], *, environment: Mapping[str, str], stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """A git process in a session of its own, so that `end` reaches ssh and the like too."""
    # `env -u` since the runner passes our whole environment on; `prlimit` since a fork in a threaded process must not
    # run Python. Both exec at once: the process is git.
    unset = [part for name in _dropped(environment) for part in ("-u", name)]
    options = [part for option in _HARDENED for part in ("-c", option)]
    command = ["env", *unset, "prlimit", f"--fsize={FILE_BYTES_MAX}", "--", "git", *options, *arguments]
    try:
        running = Git().execute(
            command,
            istream=cast("None", stdin),
            as_process=True,
            env=environment,
            shell=False,
            start_new_session=True,
        )
    except git.exc.GitCommandNotFound as error:
        raise Unavailable(f"cannot run git: {error.command} is not installed") from error
    process = running.proc
    assert process is not None
    running.proc = None  # Ended by us, not by the collection of a wrapper.
    return cast("subprocess.Popen[bytes]", process)


def _dropped(environment: Mapping[str, str]) -> list[str]:
    """The names of our own environment that git must not see."""
    if BARE in environment:
        return sorted({*os.environ, BARE} - {*_RUNS, *environment} | {BARE})
    ours = (name for name in os.environ if name.startswith(("GIT_", "SOPS_", "GITWARD_")))
    return sorted(name for name in ours if name not in environment)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill it and what it started, if it still runs; whoever waits for it hears of it. From any thread."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill it and what it started, if it still runs, and close its pipes."""
    if process.poll() is None:
        kill(process)
        process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            # What was still to be written to it is of no use to anyone now.
            with suppress(BrokenPipeError):
                pipe.close()


def _drained(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bytes]:
    assert process.stdout is not None
    assert process.stderr is not None
    taken = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    with selectors.DefaultSelector() as selector:
        for descriptor in taken:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            left = deadline - monotonic()
            ready = selector.select(left) if left > 0 else []
            if not ready:
                raise TimeoutError("no answer in time")
            for key, _ in ready:
                part = os.read(key.fd, 1 << 20)
                taken[key.fd] += part
                if not part:
                    selector.unregister(key.fd)
                if len(taken[key.fd]) > OUTPUT_BYTES_MAX:
                    raise OverflowError(f"git said more than {OUTPUT_BYTES_MAX >> 20} MB")
    try:
        process.wait(max(deadline - monotonic(), 0.1))
    except subprocess.TimeoutExpired as error:
        raise TimeoutError("no answer in time") from error
    return bytes(taken[process.stdout.fileno()]), bytes(taken[process.stderr.fileno()])
