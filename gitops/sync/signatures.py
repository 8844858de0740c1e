"""Whose signatures the commits of a source need, and whether they are there.

Every commit since the last accepted one is verified, those that merges bring in too; or, if so chosen, those of the
branch itself (first parents), whose signers then vouch for what they merge. The newest is verified always, so that a
branch that is moved back needs a signature as well.
Source: git-log(1), `%G?`; ssh-keygen(1), ALLOWED SIGNERS; GnuPG, doc/DETAILS.
"""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from gitops.kinds.errors import BadRequest, Invalid, Unavailable
from gitops.kinds.gitward import Signer
from gitops.sync.source import READ_SECONDS_MAX, Mirror

VERIFY_SECONDS_MAX: Final = 120.0  # 12 ms a commit.
COMMITS_MAX: Final = 5_000
_FORM: Final = "%H%x00%G?%x00%GP%x00%GF%x00%GS%x00%an"
_FIELDS: Final = 6
NAME_CHARACTERS_MAX: Final = 200
_WHY: Final = {
    "N": "is not signed",
    "B": "has a bad signature",
    "U": "is signed by nobody whom the source allows",
    "X": "has a signature that is expired",
    "Y": "is signed by a key that is expired",
    "R": "is signed by a key that is revoked",
    "E": "has a signature that cannot be checked: its key is none that the source allows",
}


@dataclass(frozen=True, slots=True)
class Signers:
    """Public keys. `ssh`: lines of an allowed signers file; `gpg`: public keys, armored or not."""

    ssh: bytes = b""
    gpg: bytes = b""
    first_parent: bool = False


def verify(mirror: Mirror, signers: Signers, accepted: str | None, commit: str) -> Signer:
    """Who signed `commit`.

    Invalid: a commit since `accepted` (None or unknown: the newest alone) is not signed as it must be. BadRequest: the
    keys cannot be read."""
    with TemporaryDirectory(prefix="gitward-signers-") as folder:
        home = Path(folder)
        fingerprints = _import_gpg(signers.gpg, home)
        (home / "allowed").write_bytes(signers.ssh)
        _check_ssh(signers.ssh)
        options = _options(signers, home)
        newest: Signer = {"name": "", "key": ""}
        for wanted in _ranges(mirror, signers, accepted, commit):
            arguments = (*options, "log", "-z", f"--format={_FORM}", *wanted, "--")
            newest = _verify_each(mirror, arguments, home, fingerprints) or newest
        return newest


def _options(signers: Signers, home: Path) -> tuple[str, ...]:
    """Only programs whose kind of key is allowed are ever run on what a commit holds."""
    settings = {
        "gpg.program": "gpg" if signers.gpg else "/bin/false",
        "gpg.x509.program": "/bin/false",
        "gpg.ssh.program": "ssh-keygen" if signers.ssh else "/bin/false",
        "gpg.ssh.allowedSignersFile": str(home / "allowed"),
        "gpg.minTrustLevel": "undefined",
    }
    return tuple(part for name, value in settings.items() for part in ("-c", f"{name}={value}"))


def _ranges(mirror: Mirror, signers: Signers, accepted: str | None, commit: str) -> Sequence[tuple[str, ...]]:
    """What is verified; `commit` itself last."""
    newest = ("--max-count=1", commit)
    if accepted is None or not mirror.has(accepted) or accepted == commit:
        return (newest,)
    order = ("--first-parent",) if signers.first_parent else ()
    return ((f"--max-count={COMMITS_MAX + 1}", *order, f"{accepted}..{commit}"), newest)


def _verify_each(
    mirror: Mirror, arguments: tuple[str, ...], home: Path, fingerprints: frozenset[str]
) -> Signer | None:
    """Who signed the first that git tells; None: it tells none."""
    output = mirror.git(arguments, timeout_seconds=VERIFY_SECONDS_MAX, more={"GNUPGHOME": str(home)})
    if output.status != 0:
        raise Unavailable(f"source {mirror.source.name}: git log: {output.stderr.strip()[-200:]}")
    fields = output.stdout.decode(errors="replace").split("\0")
    commits = [fields[at : at + _FIELDS] for at in range(0, len(fields) - _FIELDS + 1, _FIELDS)]
    if len(commits) > COMMITS_MAX:
        raise Invalid(
            f"source {mirror.source.name}: more than {COMMITS_MAX} commits since the last accepted one: "
            "are these branches of one history?"
        )
    signer: Signer | None = None
    for commit, verdict, primary, key, name, author in reversed(commits):
        why = _wrong(verdict, primary, fingerprints)
        if why:
            raise Invalid(f"source {mirror.source.name}: commit {commit[:7]} of {_shown(author)} {why}")
        signer = {"name": _shown(name)[:NAME_CHARACTERS_MAX], "key": primary or key}
    return signer


def _wrong(verdict: str, primary: str, fingerprints: frozenset[str]) -> str:
    """Why a signature does not do; '' if it does.

    An SSH signature of a key that is not allowed is `U`, one of GPG by a key of the ring is `U` or `G`: so for GPG the
    primary key's fingerprint must be one of ours, and for SSH, which has none, only `G` will do.
    """
    if primary:
        if primary not in fingerprints:
            return _WHY["U"]
        return "" if verdict in ("G", "U") else _WHY.get(verdict, _WHY["E"])
    return "" if verdict == "G" else _WHY.get(verdict, _WHY["E"])


def _check_ssh(keys: bytes) -> None:
    """A file in which no line can be read would refuse every commit with a message that leads nowhere."""
    for number, line in enumerate(keys.decode(errors="replace").splitlines(), start=1):
        text = line.strip()
        if (
            text
            and not text.startswith("#")
            and not re.search(r"\s(ssh|ecdsa|sk-ssh|sk-ecdsa)-\S+ \S+", text)
        ):
            raise BadRequest(
                f"allowed signers, line {number}: wanted `PRINCIPAL KEYTYPE KEY`, such as "
                '`ann@example.com namespaces="git" ssh-ed25519 AAAA…`'
            )


def _import_gpg(keys: bytes, home: Path) -> frozenset[str]:
    """The primary fingerprints of the keys, which lie in `home` afterwards."""
    if not keys:
        return frozenset()
    home.chmod(0o700)
    base = ("gpg", "--homedir", str(home), "--no-autostart", "--batch", "--quiet")
    _gpg((*base, "--import"), keys)
    listed = _gpg((*base, "--with-colons", "--fingerprint", "--list-keys"), b"")
    found = _primaries(listed)
    if not found:
        raise BadRequest("GPG keys: no public key can be read in them")
    return found


def _gpg(command: tuple[str, ...], stdin: bytes) -> str:
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, env=environment, timeout=READ_SECONDS_MAX, check=False
        )
    except FileNotFoundError as error:
        raise Unavailable("gpg is not installed, and a source asks for GPG signatures") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable("gpg does not answer") from error
    if done.returncode != 0:
        raise BadRequest(f"GPG keys: {done.stderr.decode(errors='replace').strip()[-200:]}")
    return done.stdout.decode(errors="replace")


def _primaries(listed: str) -> frozenset[str]:
    """`fpr` follows its `pub`; those of subkeys follow `sub`."""
    found, of_primary = set(), False
    for line in listed.splitlines():
        fields = line.split(":")
        if fields[0] in ("pub", "sub"):
            of_primary = fields[0] == "pub"
        elif fields[0] == "fpr" and of_primary:
            found.add(fields[9])
    return frozenset(found)


def _shown(text: str) -> str:
    return text if text.isprintable() else repr(text)
