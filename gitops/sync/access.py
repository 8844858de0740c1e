"""How a source is reached: what git is told of keys, hosts and protocols, by whom states the source.

The operator's own source (flags, gitward.yaml) may use what the operator may: `file://`, `http://`, the ssh
configuration, credential helpers, proxies. A source that an object states may use https and ssh, and of keys only what
its Secret holds. Credentials are never part of a command line.
"""

import shlex
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from gitops.kinds.errors import Unavailable
from gitops.kinds.sensitive import Sensitive
from gitops.sync.git import BARE
from gitops.sync.reach import Network, Pin

OPERATORS_PROTOCOLS: Final = "https:ssh:http:file"
OBJECTS_PROTOCOLS: Final = "https:ssh"
SSH_PORT: Final = 22


@dataclass(frozen=True, slots=True)
class Access:
    """How we are let in.

    Attributes:
        trusted: the operator states the source. Then None below means: what the user's own ssh configuration and git's
            credential helpers say. Otherwise it means: nothing.
        credentials_file: lines such as `https://user:token@host`, as git's credential store writes them.
        credentials: the same, from a Secret.
        ca_file: certificates beside those of the system.
        networks: what may be reached though `reach.py` refuses it; not asked of the operator's.
    """

    trusted: bool = True
    ssh_key_file: Path | None = None
    known_hosts_file: Path | None = None
    credentials_file: Path | None = None
    credentials: Sensitive | None = None
    ca_file: Path | None = None
    networks: tuple[Network, ...] = ()


def environment_for(url: str, access: Access, home: Path, pin: Pin | None = None) -> dict[str, str]:
    """What git is told beside its arguments. `home`: a private directory; for the operator's sources `write_config` was
    there. `pin`: the addresses that the host of the URL has, whatever it is looked up to later."""
    environment = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(home / "gitconfig") if access.trusted else "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "SSH_ASKPASS": "/bin/false",
        "GIT_ALLOW_PROTOCOL": OPERATORS_PROTOCOLS if access.trusted else OBJECTS_PROTOCOLS,
        "GIT_SSH_COMMAND": _ssh_command(access, pin),
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_LITERAL_PATHSPECS": "1",
    }
    if not access.trusted:
        environment |= {BARE: "1", "HOME": str(home), "LANG": "C.UTF-8"}
    return environment | _configured(_settings(url, access, pin))


def write_config(home: Path) -> None:
    """The operator's own configuration, and every directory safe: `file://` may name another user's repository, and
    `-c safe.directory` does not reach the process that serves it."""
    lines = ["[safe]", "\tdirectory = *"]
    own = Path.home() / ".gitconfig"
    if own.exists():
        lines = ["[include]", f"\tpath = {own}", *lines]
    text = "\n".join(lines) + "\n"
    file = home / "gitconfig"
    if not file.exists() or file.read_text() != text:
        file.write_text(text)


def _settings(url: str, access: Access, pin: Pin | None) -> list[tuple[str, str]]:
    settings = [] if access.trusted else [("credential.helper", "")]
    if pin is not None and pin.is_https and pin.addresses != (pin.host,):
        addresses = ",".join(f"[{one}]" if ":" in one else one for one in pin.addresses)
        settings.append(("http.curloptResolve", f"{pin.host}:{pin.port}:{addresses}"))
    if access.ca_file is not None:
        settings.append(("http.sslCAInfo", str(access.ca_file)))
    header = _basic_header(url, _credential_lines(access))
    if header is not None:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        settings.append((f"http.{parts.scheme}://{host}/.extraHeader", header))
    return settings


def _configured(settings: Sequence[tuple[str, str]]) -> dict[str, str]:
    """By variables, which other users of this host cannot see."""
    if not settings:
        return {}
    pairs = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings):
        pairs |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return pairs


def _ssh_command(access: Access, pin: Pin | None) -> str:
    """git has a shell take this apart; every part is ours or the operator's, and quoted."""
    command = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-o", "StrictHostKeyChecking=yes"]
    known_hosts = access.known_hosts_file
    if not access.trusted:
        command[1:1] = ["-F", "/dev/null"]
        command += ["-o", "GlobalKnownHostsFile=/dev/null", "-o", "IdentityAgent=none"]
        command += ["-o", "IdentitiesOnly=yes", "-o", "ClearAllForwardings=yes"]
        known_hosts = known_hosts or Path("/dev/null")
        if access.ssh_key_file is None:
            command += ["-o", "IdentityFile=none"]
    if pin is not None and not pin.is_https:
        # Known hosts are sought by the name still, as ssh writes it there.
        alias = pin.host if pin.port == SSH_PORT else f"[{pin.host}]:{pin.port}"
        command += ["-o", f"HostName={pin.addresses[0]}", "-o", f"HostKeyAlias={alias}"]
    if known_hosts is not None:
        command += ["-o", f"UserKnownHostsFile={known_hosts}"]
    if access.ssh_key_file is not None:
        command += ["-o", "IdentitiesOnly=yes", "-i", str(access.ssh_key_file)]
    return shlex.join(command)


def _credential_lines(access: Access) -> list[str]:
    if access.credentials is not None:
        return access.credentials.reveal().decode(errors="replace").splitlines()
    if access.credentials_file is None:
        return []
    try:
        return access.credentials_file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(f"{access.credentials_file}: {getattr(error, 'strerror', 'is no text')}") from error


def _basic_header(url: str, lines: Sequence[str]) -> str | None:
    """The header for the first line that names the URL's scheme and host: a token goes to its own host only."""
    if not url.startswith(("https://", "http://")):
        return None
    wanted = urlsplit(url)
    for line in lines:
        found = urlsplit(line.strip())
        if (found.scheme, found.hostname, found.port) == (wanted.scheme, wanted.hostname, wanted.port):
            user = f"{unquote(found.username or '')}:{unquote(found.password or '')}"
            return f"Authorization: Basic {b64encode(user.encode()).decode()}"
    return None
