"""The key pairs of SealedSecrets: files in `sealed-secrets/` of the data directory, each a TLS Secret as the controller
of bitnami-labs/sealed-secrets keeps it, so that a team can bring its keys along and take them away.

Run as `python -m gitops.sync.secrets.sealed_keys FOLDER`, it makes a new pair where the newest is older than 30 days;
old ones are kept for ever. A process of its own: finding the primes takes a second, and Python waits.
"""

import asyncio
import logging
import os
import sys
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from gitops.kinds.errors import BadRequest, GitwardError
from gitops.kinds.yaml import load_objects
from gitops.sync.secrets.sealed_secrets import PREFIX
from gitops.sync.secrets.text import dump

log = logging.getLogger(__name__)

FOLDER: Final = "sealed-secrets"
CERTIFICATE: Final = "tls.crt"  # The newest, for whoever seals: it is no secret.
LABEL: Final = PREFIX + "sealed-secrets-key"
KEY_BITS: Final = 4096
VALID: Final = timedelta(days=3650)
RENEWED: Final = timedelta(days=30)
FIRST_SECONDS: Final = 5.0  # A start has better things to do.
AGAIN_SECONDS: Final = 86_400.0
RUN_SECONDS_MAX: Final = 300.0  # It takes a second, at the lowest priority of a busy host.


class SealingKey(NamedTuple):
    """A private key and its certificate. `seals`: it is active, not only kept to open what it once sealed."""

    private: RSAPrivateKey
    certificate: x509.Certificate
    seals: bool


def read_keys(folder: Path) -> tuple[SealingKey, ...]:
    """All of a folder, the newest first; none where there is no folder. BadRequest names file and reason."""
    keys = (
        [key for file in sorted(folder.glob("*.yaml")) for key in _keys_of(file)] if folder.is_dir() else []
    )
    return tuple(sorted(keys, key=lambda key: key.certificate.not_valid_before_utc, reverse=True))


def stamp_of(folder: Path) -> tuple[tuple[str, int], ...]:
    """What changes when a key is added or taken away."""
    return tuple((file.name, file.stat().st_mtime_ns) for file in sorted(folder.glob("*.yaml")))


def read_certificate(pem: bytes) -> RSAPublicKey:
    """The key that values are sealed for. BadRequest: it is none."""
    try:
        key = x509.load_pem_x509_certificate(pem).public_key()
    except ValueError as error:
        raise BadRequest("is no certificate (PEM)") from error
    if not isinstance(key, RSAPublicKey):
        raise BadRequest("is no certificate of an RSA key")
    return key


def ensure_fresh(folder: Path, now: datetime) -> bool:
    """Make a key pair where there is none, or none younger than 30 days; whether one was made."""
    newest = next((key for key in read_keys(folder) if key.seals), None)
    if newest is not None and newest.certificate.not_valid_before_utc > now - RENEWED:
        _write(folder / CERTIFICATE, newest.certificate.public_bytes(Encoding.PEM), mode=0o644)
        return False
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    private = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sealed-secrets")])
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now).not_valid_after(now + VALID)
        .sign(private, SHA256())
    )  # fmt: skip
    pem = certificate.public_bytes(Encoding.PEM)
    secret = _as_secret(f"sealed-secrets-key-{now:%Y%m%d-%H%M%S}", private, pem)
    _write(folder / f"{secret['metadata']['name']}.yaml", dump([secret]).encode(), mode=0o600)
    _write(folder / CERTIFICATE, pem, mode=0o644)
    return True


async def keep_fresh(folder: Path) -> None:
    """Have `ensure_fresh` done now and then, by a process of its own, until cancelled."""
    pause_seconds = FIRST_SECONDS
    while True:
        await asyncio.sleep(pause_seconds)
        pause_seconds = AGAIN_SECONDS
        command = (sys.executable, "-m", "gitops.sync.secrets.sealed_keys", str(folder))
        try:
            wrong = await _run(command)
        except (OSError, TimeoutError) as error:  # A host without memory for one more process: later, then.
            wrong = str(error) or f"it took longer than {RUN_SECONDS_MAX:g} s"
        if wrong is not None:
            facts = {"folder": str(folder), "error": wrong}
            log.warning("no key pair for SealedSecrets was made", extra={"fields": facts})


async def _run(command: tuple[str, ...]) -> str | None:
    """What it says at its end where it fails. Raises OSError, TimeoutError."""
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(RUN_SECONDS_MAX):
            _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode == 0:
        return None
    return (said.decode(errors="replace").strip().splitlines() or [""])[-1]


def _as_secret(name: str, private: RSAPrivateKey, pem: bytes) -> dict[str, Any]:
    key = private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "kube-system", "labels": {LABEL: "active"}},
        "type": "kubernetes.io/tls",
        "data": {"tls.crt": b64encode(pem).decode(), "tls.key": b64encode(key).decode()},
    }


def _keys_of(file: Path) -> list[SealingKey]:
    try:
        values = [document.value for document in load_objects(file.read_bytes(), str(file))]
        return [
            _key_of(value) for value in values if isinstance(value, dict) and value.get("kind") == "Secret"
        ]
    except OSError as error:
        raise BadRequest(f"{file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        wanted = "wanted Secrets of type kubernetes.io/tls with the keys of SealedSecrets"
        raise BadRequest(f"{file}: {wanted}") from error


def _key_of(secret: dict[str, Any]) -> SealingKey:
    labels = secret["metadata"].get("labels") or {}
    private = load_pem_private_key(b64decode(secret["data"]["tls.key"]), None)
    if not isinstance(private, RSAPrivateKey):
        raise TypeError("no RSA key")
    certificate = x509.load_pem_x509_certificate(b64decode(secret["data"]["tls.crt"]))
    return SealingKey(private, certificate, labels.get(LABEL) == "active")


def _write(file: Path, content: bytes, *, mode: int) -> None:
    """Whole or not at all."""
    if file.exists() and file.read_bytes() == content:
        return
    fresh = file.with_name(f".{file.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)


def main() -> None:
    """Low priority: nobody waits for it."""
    os.nice(10)
    try:
        ensure_fresh(Path(sys.argv[1]), datetime.now(UTC))
    except (GitwardError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
