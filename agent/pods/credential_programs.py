"""Logins that a program knows: `credHelpers` and `credsStore` of the node's own file, as the docker command has them.

Only of the file that the operator names (`--docker-config`), never of a pull secret: a name there would be a program
that somebody else chooses. `docker-credential-NAME get` is run without a shell, with the registry on its stdin. What it
answers is a secret; of what goes wrong only its stderr is shown. Source: docker/cli `cli/config`,
docker-credential-helpers.
"""

import asyncio
import logging
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import orjson

from agent.pods.credentials import HUB_NAMES, Login, registry_of
from gitops.kinds.sensitive import Sensitive

log = logging.getLogger(__name__)

HUB_URL: Final = "https://index.docker.io/v1/"  # Under which Docker keeps the login of its own registry.
ANSWER_SECONDS: Final = 20.0  # A cloud's helper asks its cloud.
ANSWER_MAX_BYTES: Final = 64 << 10
SHOWN_MAX_CHARACTERS: Final = 300
_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}")
_PRIVATE: Final = ("GITWARD_", "SOPS_")  # Of our own environment: no other program's business.


def helper_of(config: bytes, image: str) -> tuple[str, str]:
    """The helper's name and the registry that it is asked for; ('', '') where there is none. Raises ValueError."""
    try:
        found: Any = orjson.loads(config)
    except orjson.JSONDecodeError:
        return "", ""
    if not isinstance(found, dict):
        return "", ""
    host = registry_of(image)
    server = HUB_URL if host in HUB_NAMES else host
    helpers = found.get("credHelpers")
    helpers = helpers if isinstance(helpers, dict) else {}
    name = helpers.get(server) or helpers.get(host) or found.get("credsStore") or ""
    if not name:
        return "", ""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"credential helper of {host}: found {name!r}, wanted NAME of docker-credential-NAME"
        )
    return name, server


def login_of(answer: bytes) -> Login | None:
    """Of a helper's answer; None if it is none."""
    try:
        found: Any = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return None
    name, secret = (found.get("Username"), found.get("Secret")) if isinstance(found, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(secret, str) or not secret:
        return None
    return Login(name, Sensitive(secret))


async def ask(config: bytes, image: str, environment: Mapping[str, str]) -> tuple[tuple[str, Login], ...]:
    """The login for the image's registry, if a helper knows one. Nothing raised: the pull tells what it lacks."""
    try:
        name, server = helper_of(config, image)
    except ValueError as error:
        log.warning("a credential helper is not run: %s", error)
        return ()
    if not name:
        return ()
    program = shutil.which(f"docker-credential-{name}", path=environment.get("PATH", os.defpath))
    if program is None:
        _tell(name, server, f"docker-credential-{name} is not on the agent's PATH")
        return ()
    code, answer, said = await _run(program, server, environment)
    login = login_of(answer) if code == 0 else None
    if login is None and b"credentials not found" not in answer:
        _tell(name, server, said or ("it answered no login" if code == 0 else f"exit code {code}"))
    return ((server, login),) if login is not None else ()


def _tell(name: str, server: str, why: str) -> None:
    facts = {"helper": f"docker-credential-{name}", "registry": server, "why": why}
    log.warning("a credential helper gave no login", extra={"fields": facts})


async def _run(program: str, server: str, environment: Mapping[str, str]) -> tuple[int, bytes, str]:
    """Exit code, what it answered, what it said on stderr."""
    try:
        running = await asyncio.create_subprocess_exec(
            program,
            "get",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={key: text for key, text in environment.items() if not key.startswith(_PRIVATE)},
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        return -1, b"", error.strerror or str(error)
    assert running.stdin is not None
    assert running.stdout is not None
    assert running.stderr is not None
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            running.stdin.write(server.encode())
            with suppress(ConnectionError):
                await running.stdin.drain()
            running.stdin.close()
            answer, said = await asyncio.gather(_bounded(running.stdout), _bounded(running.stderr))
            code = await running.wait()
    except TimeoutError:
        return -1, b"", f"no answer within {ANSWER_SECONDS:.0f} s"
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    return code, answer, said.decode(errors="replace").strip()[:SHOWN_MAX_CHARACTERS]


async def _bounded(stream: asyncio.StreamReader) -> bytes:
    """Its beginning; the rest is read and dropped, so that nobody waits."""
    kept = bytearray()
    while chunk := await stream.read(ANSWER_MAX_BYTES):
        kept += chunk[: ANSWER_MAX_BYTES - len(kept)]
    return bytes(kept)
