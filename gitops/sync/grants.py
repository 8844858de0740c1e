"""What a source is let use: keys, tokens, hosts, and whose signatures its commits need.

The operator's sources get the operator's files. A source that an object states gets what its Secret holds, if whoever
stated the source also stated the Secret: else a committer could borrow the keys of another team. The Secret's keys are
`credentials` (lines `https://user:token@host`, so a token goes to its own host only), or `identity` and `known_hosts`
for ssh, and `ca.crt`. What must be a file for ssh lies in memory only.
"""

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from gitops.kinds.core.config import SECRET
from gitops.kinds.errors import BadRequest, Unavailable
from gitops.kinds.gitward import DECLARED, GitSource, declared_key
from gitops.kinds.keys import Key
from gitops.kinds.objects import key_of
from gitops.kinds.sensitive import Sensitive
from gitops.reconcile import Reader
from gitops.sync.access import Access
from gitops.sync.operators import OperatorSource, is_operators
from gitops.sync.reach import Network
from gitops.sync.signatures import Signers

SECRET_KEYS: Final = ("credentials", "identity", "known_hosts", "ca.crt")
OTHERS_KEYS: Final = ("username", "password", "bearerToken", "ssh-privatekey")  # Of Flux and Kubernetes.


@dataclass(frozen=True, slots=True)
class Grant:
    """`material`: what of the access must be files, by SECRET_KEYS; `access` is complete without."""

    access: Access
    signers: Signers | None
    material: tuple[tuple[str, Sensitive], ...] = ()


class Files:
    """Key material as files that are in no file system: they end with this object."""

    def __init__(self, material: Mapping[str, Sensitive]) -> None:
        self._descriptors: list[int] = []
        self._paths = {name: self._file(name, content) for name, content in material.items()}

    def path(self, name: str) -> Path | None:
        return self._paths.get(name)

    def close(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()

    def _file(self, name: str, content: Sensitive) -> Path:
        descriptor = os.memfd_create(name)
        self._descriptors.append(descriptor)
        os.fchmod(descriptor, 0o600)  # ssh takes no key that others could read.
        os.write(descriptor, content.reveal())
        return Path(f"/proc/{os.getpid()}/fd/{descriptor}")


def grant_of(
    view: Reader,
    source: GitSource,
    named: Mapping[str, OperatorSource],
    networks: tuple[Network, ...] = (),
) -> Grant:
    """What a source may use. `networks`: those that an object's source may reach though they would be refused.

    BadRequest: the Secret is not there, not to be used here, or holds nothing of use. Unavailable: a file of the
    operator's cannot be read."""
    if is_operators(source, named):
        own = named[source["metadata"].get("name", "")]
        access = Access(True, own.ssh_key_file, own.known_hosts_file, own.credentials_file)
        return Grant(access, _signers(source, own))
    material = _material(view, source)
    access = Access(trusted=False, credentials=material.pop("credentials", None), networks=networks)
    return Grant(access, _signers(source, None), tuple(material.items()))


def with_files(access: Access, files: Files) -> Access:
    """The access with the paths of its key material."""
    if access.trusted:
        return access
    return Access(
        trusted=False,
        ssh_key_file=files.path("identity"),
        known_hosts_file=files.path("known_hosts"),
        credentials=access.credentials,
        ca_file=files.path("ca.crt"),
        networks=access.networks,
    )


def _signers(source: GitSource, own: OperatorSource | None) -> Signers | None:
    stated = source["spec"].get("verify")
    ssh = str(stated.get("allowedSigners", "")).encode() if stated else b""
    gpg = str(stated.get("gpgKeys", "")).encode() if stated else b""
    if own is not None:
        ssh += _read(own.allowed_signers_file)
        gpg += _read(own.gpg_keys_file)
        asked = own.allowed_signers_file is not None or own.gpg_keys_file is not None
    else:
        asked = False
    if stated is None and not asked:
        return None
    return Signers(ssh, gpg, bool(stated and stated.get("commits") == "firstParent"))


def _read(file: Path | None) -> bytes:
    if file is None:
        return b""
    try:
        return file.read_bytes()
    except OSError as error:
        raise Unavailable(f"{file}: {error.strerror}") from error


def _material(view: Reader, source: GitSource) -> dict[str, Sensitive]:
    reference = source["spec"].get("secretRef")
    if reference is None:
        return {}
    key = SECRET.key(reference.get("namespace", "default"), reference["name"])
    name = source["metadata"].get("name", "")
    where = f"source {name}: spec.secretRef: {key}"
    secret = view.get(SECRET, key)
    if secret is None:
        raise BadRequest(f"{where}: there is no such secret")
    stated_by, secrets_by = _stated_by(view, key_of(source)), _stated_by(view, key)
    if stated_by is not None and stated_by != secrets_by:
        raise BadRequest(
            f"{where} is not declared by the source {stated_by}, which declares this one: "
            "a source may use secrets of its own repository only"
        )
    values = cast(dict[str, Any], secret.get("data") or {})
    found: dict[str, Sensitive] = {
        one: _opened(values[one], where, one) for one in SECRET_KEYS if one in values
    }
    if not found:
        others = [one for one in OTHERS_KEYS if one in values]
        advice = f", {', '.join(others)} are not read" if others else ""
        raise BadRequest(f"{where}: wanted `credentials`, or `identity` and `known_hosts`{advice}")
    if "identity" in found and "known_hosts" not in found:
        raise BadRequest(f"{where}: an `identity` needs the server's key in `known_hosts`")
    return found


def _opened(value: object, where: str, name: str) -> Sensitive:
    text = value.reveal() if isinstance(value, Sensitive) else str(value).encode()
    try:
        return Sensitive(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise BadRequest(f"{where}: {name} is no base64") from error


def _stated_by(view: Reader, key: Key) -> str | None:
    """Which source states an object; None: git does not."""
    record = view.get(DECLARED, declared_key(key))
    if record is None:
        return None
    return next((claim["source"] for claim in record["claims"] if claim["state"] == "declared"), None)
