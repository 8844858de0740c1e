"""Which logins fit an image: those of pull secrets and of the node's own file, matched as by the kubelet. Pure.

An entry names a registry (`registry.example`, `https://index.docker.io/v1/`, `*.example:5000`), with a path perhaps
(`registry.example/team`), which then has to begin the image's. Source: kubernetes/pkg/credentialprovider/keyring.go.
"""

import binascii
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import orjson

from agent.runtime.docker_answers import split
from gitops.kinds.sensitive import Sensitive

DOCKER_HUB: Final = "docker.io"
HUB_NAMES: Final = ("docker.io", "index.docker.io")
HUB_KEY: Final = "index.docker.io"
CONFIG_KEY: Final = ".dockerconfigjson"
OLD_CONFIG_KEY: Final = ".dockercfg"
_VERSIONS: Final = ("/v1/", "/v2/")


class Login(NamedTuple):
    """Of one registry."""

    username: str
    password: Sensitive


class _Entry(NamedTuple):
    place: str  # Host, port and path.
    login: Login


class Keyring:
    """Logins by what they are for; of several that fit the one with the longest path is tried first."""

    def __init__(self, entries: Iterable[tuple[str, Login]]) -> None:
        places = ((_place(where), login) for where, login in entries)
        self._entries = sorted((_Entry(*one) for one in places), key=lambda one: one.place, reverse=True)

    def of(self, image: str) -> tuple[Login, ...]:
        """Those to try, in this order. Empty: none fits, and nothing is shown to the registry."""
        repository, _ = split(image)
        found = [entry.login for entry in self._entries if _fits(entry.place, repository)]
        if not found and registry_of(image) in HUB_NAMES:
            found = [entry.login for entry in self._entries if entry.place == HUB_KEY]
        return tuple(found)


def registry_of(image: str) -> str:
    """The host of an image's registry, as Docker reads the name."""
    first, slash, _ = image.partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost")
    return first if is_host else DOCKER_HUB


def logins_in(key: str, text: bytes) -> Iterator[tuple[str, Login]]:
    """Of a `.dockerconfigjson` or `.dockercfg`. What cannot be read is passed over: other secrets may fit."""
    try:
        found: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return
    if key == CONFIG_KEY:
        found = found.get("auths") if isinstance(found, dict) else None
    for where, entry in found.items() if isinstance(found, dict) else ():
        if isinstance(entry, dict) and (login := _login(entry)) is not None:
            yield where, login


def _login(entry: Mapping[str, Any]) -> Login | None:
    auth, name, password = (entry.get(one) or "" for one in ("auth", "username", "password"))
    if isinstance(auth, str) and auth:
        try:
            text = b64decode(auth + "=" * (-len(auth) % 4), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError, ValueError):
            return None
        name, colon, password = text.partition(":")
        if not colon:
            return None
    if not isinstance(name, str) or not isinstance(password, str) or not (name or password):
        return None
    return Login(name, Sensitive(password))


def _place(where: str) -> str:
    """`https://index.docker.io/v1/` -> `index.docker.io`; `registry.example/team` stays."""
    url = where if where.startswith(("http://", "https://")) else f"https://{where}"
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    path = parts.path
    if path.startswith(_VERSIONS):
        path = path[len(_VERSIONS[0]) - 1 :]
    return parts.netloc + path if path not in ("", "/") else parts.netloc


def _fits(place: str, repository: str) -> bool:
    host, _, path = place.partition("/")
    wanted, _, rest = repository.partition("/")
    return bool(host) and _is_host(host, wanted) and rest.startswith(path.rstrip("/") if path else "")


def _is_host(pattern: str, host: str) -> bool:
    """Part by part: `*` stands for no dot. The port has to be the same."""
    (names, _, port), (wanted, _, wanted_port) = pattern.partition(":"), host.partition(":")
    parts, others = names.split("."), wanted.split(".")
    return port == wanted_port and len(parts) == len(others) and all(map(fnmatchcase, others, parts))
