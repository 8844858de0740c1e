"""The cluster's certificate authority, the API server's certificate, and client certificates: X.509 by `cryptography`.

The CA lies in `D/pki` and is made at the first start. A client certificate's common name is the user, its
organizations are the groups (Kubernetes, "Authenticating: X.509 client certificates"). Everything is backdated by an
hour, since hosts' clocks differ. Keys are ECDSA P-256 in files of mode 0600.
"""

import ipaddress
import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gitops.kinds.errors import BadRequest, Unavailable
from gitops.kinds.sensitive import Sensitive

BACKDATED: Final = timedelta(hours=1)
CA_LIFE: Final = timedelta(days=3650)
LEAF_LIFE: Final = timedelta(days=365)
RENEW_BEFORE: Final = timedelta(
    days=60
)  # A server certificate nearer to its end than this is made anew at start.

ADMIN: Final = "gitward-admin"
MASTERS: Final = "system:masters"
NODES: Final = "system:nodes"
NODE_PREFIX: Final = "system:node:"
RSA_BITS_MIN: Final = 2048

_SERVER_NAMES: Final = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, PEM."""

    cert: bytes
    key: Sensitive


@dataclass(frozen=True, slots=True)
class Authority:
    """The cluster's CA. `cert` is what everyone trusts; the key signs and never leaves this process."""

    cert: bytes
    _key: ec.EllipticCurvePrivateKey

    def client(self, user: str, groups: Iterable[str], *, now: datetime) -> Issued:
        """A client certificate: `user` is the common name, `groups` the organizations."""
        name = x509.Name(
            [
                *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups),
                x509.NameAttribute(NameOID.COMMON_NAME, user),
            ]
        )
        return self._issue(name, ExtendedKeyUsageOID.CLIENT_AUTH, now, alternatives=())

    def admin(self, *, now: datetime) -> Issued:
        """For the operator: group system:masters, which may do everything."""
        return self.client(ADMIN, (MASTERS,), now=now)

    def node(self, name: str, *, now: datetime) -> Issued:
        """For an agent: user `system:node:<name>` in group system:nodes."""
        return self.client(f"{NODE_PREFIX}{name}", (NODES,), now=now)

    def node_on_request(
        self, name: str, identity: str, request: bytes, *, now: datetime, life: timedelta = LEAF_LIFE
    ) -> bytes:
        """For a machine that made its own key: the certificate, PEM. The request's own wishes count for nothing.

        `identity`: which machine bears the name (`gitops.api.joining`); ''. Raises BadRequest for a bad request.
        """
        subject = [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, NODES),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{NODE_PREFIX}{name}"),
        ]
        if identity:
            subject.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, identity))
        key = key_of_request(request)
        return self._sign(key, x509.Name(subject), ExtendedKeyUsageOID.CLIENT_AUTH, now, (), life)

    def server(self, hosts: Iterable[str], *, now: datetime) -> Issued:
        """For the API: the given names and addresses, localhost, and the names of the service `kubernetes`."""
        names = dict.fromkeys((*hosts, "127.0.0.1", "::1", *_SERVER_NAMES))
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gitward-api")])
        return self._issue(
            subject, ExtendedKeyUsageOID.SERVER_AUTH, now, [_general_name(name) for name in names]
        )

    def _issue(
        self,
        subject: x509.Name,
        usage: x509.ObjectIdentifier,
        now: datetime,
        alternatives: Iterable[x509.GeneralName],
    ) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1())
        cert = self._sign(key.public_key(), subject, usage, now, alternatives, LEAF_LIFE)
        return Issued(cert, Sensitive(_key_pem(key)))

    def _sign(
        self,
        key: CertificatePublicKeyTypes,
        subject: x509.Name,
        usage: x509.ObjectIdentifier,
        now: datetime,
        alternatives: Iterable[x509.GeneralName],
        life: timedelta,
    ) -> bytes:
        authority = x509.load_pem_x509_certificate(self.cert)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(now + life)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        if names := list(alternatives):
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def key_of_request(request: bytes) -> CertificatePublicKeyTypes:
    """The key of a certificate request (PEM) whose sender has shown to hold it. Raises BadRequest."""
    try:
        asked = x509.load_pem_x509_csr(request)
        is_signed, key = asked.is_signature_valid, asked.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadRequest("found no certificate request in PEM") from error
    if not is_signed:
        raise BadRequest("the certificate request is not signed by its own key")
    is_strong = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(
        key.curve, ec.SECP256R1 | ec.SECP384R1
    )
    if not is_strong and not (isinstance(key, rsa.RSAPublicKey) and key.key_size >= RSA_BITS_MIN):
        raise BadRequest(
            f"the key of the request is weak: wanted ECDSA P-256 or P-384, or RSA of {RSA_BITS_MIN} bits"
        )
    return key


def load_or_make_authority(pki: Path, *, now: datetime) -> Authority:
    """The CA in `pki` (ca.crt, ca.key), made if there is none. Raises Unavailable if it cannot be read.

    A crash between the two files leaves the key alone: a certificate is then made for that key.
    """
    cert_file, key_file = pki / "ca.crt", pki / "ca.key"
    try:
        if not cert_file.exists() and not key_file.exists():
            write_private(key_file, _key_pem(ec.generate_private_key(ec.SECP256R1())))
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        if isinstance(key, ec.EllipticCurvePrivateKey) and not cert_file.exists():
            write_private(cert_file, _self_signed(key, now), mode=0o644)
        cert = cert_file.read_bytes()
    except (OSError, ValueError) as error:
        raise Unavailable(f"{pki}: the cluster's CA cannot be read: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Unavailable(f"{key_file}: not an ECDSA key")
    return Authority(cert, key)


def server_certificate(
    authority: Authority, pki: Path, hosts: Iterable[str], *, now: datetime
) -> tuple[Path, Path]:
    """The API's certificate and key files, kept from start to start; made anew near its end or when it lacks a name."""
    cert_file, key_file = pki / "apiserver.crt", pki / "apiserver.key"
    wanted = tuple(hosts)
    if not (key_file.exists() and _is_good(cert_file, authority, wanted, now)):
        issued = authority.server(wanted, now=now)
        write_private(key_file, issued.key.reveal())
        write_private(cert_file, issued.cert, mode=0o644)
    return cert_file, key_file


def server_tls(cert_file: Path, key_file: Path, ca: bytes) -> ssl.SSLContext:
    """Clients may show a certificate of this CA; one of another CA, or an expired one, fails the handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert_file, key_file)
    context.load_verify_locations(cadata=ca.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def write_private(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Whole or not at all, and never readable by others on the way."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)


def _self_signed(key: ec.EllipticCurvePrivateKey, now: datetime) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gitward-ca")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


def _is_good(cert_file: Path, authority: Authority, hosts: tuple[str, ...], now: datetime) -> bool:
    try:
        cert = x509.load_pem_x509_certificate(cert_file.read_bytes())
        cert.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.cert))
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return cert.not_valid_after_utc - now > RENEW_BEFORE and all(
        _general_name(host) in names for host in hosts
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
