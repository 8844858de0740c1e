"""TLS secrets as the PEM files that HAProxy reads. Checked here: a bad one must not keep the others from loading."""

from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from gitops.kinds.core.config import Secret
from gitops.kinds.errors import Invalid
from gitops.kinds.sensitive import Sensitive

CERTIFICATE_FIELD: Final = "tls.crt"
KEY_FIELD: Final = "tls.key"
DEFAULT_DAYS: Final = 3650


def pem_of(secret: Secret) -> Sensitive:
    """Certificate chain and key in one file, written anew from what was understood. Raises Invalid."""
    content: Mapping[str, Sensitive | str] = secret.get("data") or {}
    for field in (CERTIFICATE_FIELD, KEY_FIELD):
        if field not in content:
            raise Invalid(f"the secret has no {field}")
    try:
        chain = x509.load_pem_x509_certificates(_bytes(content[CERTIFICATE_FIELD]))
        key = load_pem_private_key(_bytes(content[KEY_FIELD]), password=None)
    except (ValueError, TypeError) as error:
        # Not the library's words: they could hold what they did not understand.
        raise Invalid(
            f"{CERTIFICATE_FIELD} and {KEY_FIELD}: wanted a PEM certificate and its PEM key"
        ) from error
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if chain[0].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != public:
        raise Invalid(f"{KEY_FIELD} is not the key of the first certificate in {CERTIFICATE_FIELD}")
    clear = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Sensitive(b"".join((*(each.public_bytes(Encoding.PEM) for each in chain), clear)))


def default_pem(now: datetime) -> Sensitive:
    """For hosts without a certificate: nobody trusts it, but TLS answers."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Gitward default certificate")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.astimezone(UTC) - timedelta(hours=1))
        .not_valid_after(now.astimezone(UTC) + timedelta(days=DEFAULT_DAYS))
        .sign(key, hashes.SHA256())
    )
    clear = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Sensitive(certificate.public_bytes(Encoding.PEM) + clear)


def _bytes(value: Sensitive | str) -> bytes:
    """Base64 inside; raises ValueError."""
    return b64decode(value.reveal() if isinstance(value, Sensitive) else value, validate=True)
