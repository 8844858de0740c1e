"""One run of git: fixed argument vectors through GitPython's runner, a clean environment, limits in time and size.

Repositories are hostile, servers too; the URL and the keys are the operator's, who is trusted. No hooks, no file system
monitor, no submodules, no redirects, no prompts; git's environment variables of whoever started us are not inherited.
"""

import os
import re
import selectors
import shlex
import signal
import subprocess
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final, NamedTuple, cast
from urllib.parse import unquote, urlsplit

import git
from git.cmd import Git

from gitops.kinds.errors import BadRequest, Unavailable

FILE_BYTES_MAX: Final = 2 << 30  # Of one file that git writes, so of one pack.
OUTPUT_BYTES_MAX: Final = 64 << 20
PROTOCOLS: Final = "https:ssh:http:file"
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
)


@dataclass(frozen=True, slots=True)
class Access:
    """How the operator lets us in. None: what the user's own ssh configuration and git's credential helpers say.

    `credentials_file` holds lines such as `https://user:token@host`, as git's credential store writes them.
    """

    ssh_key_file: Path | None = None
    known_hosts_file: Path | None = None
    credentials_file: Path | None = None


class Output(NamedTuple):
    status: int
    stdout: bytes
    stderr: str


def checked_url(url: str) -> str:
    """The URL as git gets it; an absolute path becomes `file://`. BadRequest: nothing that git should see."""
    if url.startswith("/"):
        url = f"file://{url}"
    if not _URL.match(url) or any(character.isspace() or not character.isprintable() for character in url):
        raise BadRequest(
            f"{url!r} is no URL of a repository: wanted https://, ssh://, http://, file:// or user@host:path"
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
    arguments: tuple[str, ...], *, environment: Mapping[str, str], timeout_seconds: float, what: str
) -> Output:
    """Run git to its end. Unavailable: it took too long or said too much; `what` names it in that message."""
    process = start(arguments, environment=environment)
    try:
        stdout, stderr = _drained(process, monotonic() + timeout_seconds)
    except (TimeoutError, OverflowError) as error:
        raise Unavailable(f"{what}: {error}") from error
    finally:
        end(process)
    return Output(process.returncode, stdout, stderr.decode(errors="replace"))


def start(
    arguments: tuple[str, ...], *, environment: Mapping[str, str], stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """A git process in a session of its own, so that `end` reaches ssh and the like too."""
    # `env -u` since the runner passes our whole environment on; `prlimit` since a fork in a threaded process must not
    # run Python. Both exec at once: the process is git.
    dropped = sorted(name for name in os.environ if name.startswith(("GIT_", "SOPS_", "GITWARD_")))
    unset = [part for name in dropped if name not in environment for part in ("-u", name)]
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


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill it and what it started, if it still runs, and close its pipes."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
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


def environment_for(url: str, access: Access, config_file: Path) -> dict[str, str]:
    """What git is told beside its arguments. `config_file` was written by `write_config`."""
    environment = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(config_file),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "SSH_ASKPASS": "/bin/false",
        "GIT_ALLOW_PROTOCOL": PROTOCOLS,
        "GIT_SSH_COMMAND": _ssh_command(access),
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_LITERAL_PATHSPECS": "1",
    }
    header = _basic_header(url, access.credentials_file)
    if header is not None:
        parts = urlsplit(url)
        environment |= {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{parts.scheme}://{parts.netloc.rpartition('@')[2]}/.extraHeader",
            "GIT_CONFIG_VALUE_0": header,
        }
    return environment


def write_config(config_file: Path) -> None:
    """The operator's own configuration, and every directory safe: `file://` may name another user's repository, and
    `-c safe.directory` does not reach the process that serves it."""
    lines = ["[safe]", "\tdirectory = *"]
    own = Path.home() / ".gitconfig"
    if own.exists():
        lines = ["[include]", f"\tpath = {own}", *lines]
    text = "\n".join(lines) + "\n"
    if not config_file.exists() or config_file.read_text() != text:
        config_file.write_text(text)


def _ssh_command(access: Access) -> str:
    """git has a shell take this apart; every part is the operator's and quoted."""
    command = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-o", "StrictHostKeyChecking=yes"]
    if access.known_hosts_file is not None:
        command += ["-o", f"UserKnownHostsFile={access.known_hosts_file}"]
    if access.ssh_key_file is not None:
        command += ["-o", "IdentitiesOnly=yes", "-i", str(access.ssh_key_file)]
    return shlex.join(command)


def _basic_header(url: str, credentials_file: Path | None) -> str | None:
    """The header for the first line of the file that names the URL's scheme and host. Never on a command line."""
    if credentials_file is None or not url.startswith(("https://", "http://")):
        return None
    wanted = urlsplit(url)
    try:
        lines = credentials_file.read_text().splitlines()
    except OSError as error:
        raise Unavailable(f"{credentials_file}: {error.strerror}") from error
    for line in lines:
        found = urlsplit(line.strip())
        if (found.scheme, found.hostname, found.port) == (wanted.scheme, wanted.hostname, wanted.port):
            user = f"{unquote(found.username or '')}:{unquote(found.password or '')}"
            return f"Authorization: Basic {b64encode(user.encode()).decode()}"
    return None
