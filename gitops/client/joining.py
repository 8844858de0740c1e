"""How a machine becomes a node: the join token, and what an agent asks the master for with it.

A token names the cluster's CA by its hash, so an agent that has nothing else knows whom it talks to before it shows the
token's secret. The key is made here and never leaves the machine. Source: kubeadm's discovery by token and CA hash.
"""

import errno
import hashlib
import re
import ssl
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import aiohttp
import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gitops.client.unreached import why_unreached
from gitops.client.wire import error_of_body
from gitops.kinds.errors import BadRequest, Unauthorized, Unavailable
from gitops.kinds.sensitive import Sensitive

CA_PATH: Final = "/gitward/v1/ca"
JOIN_PATH: Final = "/gitward/v1/join"
SERVER_NAME: Final = "kubernetes"  # In every certificate of the API: a master may be reached by any address.
LISTENS: Final = "it listens on loopback alone unless it was started with `--listen ADDRESS:PORT`"
ANSWER_SECONDS: Final = 30.0
ANSWER_MAX_BYTES: Final = 64 << 10
_TOKEN: Final = re.compile(r"gw1\.([0-9a-f]{64})\.([a-z0-9]{8})\.([0-9a-f]{40})")


class JoinToken(NamedTuple):
    """`ca_hash`: SHA-256 of the CA's certificate (DER). `secret`: 160 random bits; the master keeps its hash alone."""

    ca_hash: str
    id: str
    secret: Sensitive

    @property
    def text(self) -> str:
        return f"gw1.{self.ca_hash}.{self.id}.{self.secret.reveal().decode()}"

    @staticmethod
    def of(text: str) -> "JoinToken":
        """The inverse. Raises BadRequest, without showing what was given."""
        found = _TOKEN.fullmatch(text.strip())
        if found is None:
            raise BadRequest(
                "the join token is not one of ours: wanted gw1.… as `gitward token create` prints it"
            )
        return JoinToken(found[1], found[2], Sensitive(found[3].encode()))


class Joined(NamedTuple):
    """What the master answers: PEM, and the ranges of the whole cluster."""

    cert: bytes
    pod_cidr: str
    service_cidr: str


def ca_hash(ca: bytes) -> str:
    """Of a PEM certificate. Raises BadRequest if it is none."""
    try:
        cert = x509.load_pem_x509_certificate(ca)
    except ValueError as error:
        raise BadRequest("found no certificate where the cluster's CA was expected") from error
    return hashlib.sha256(cert.public_bytes(serialization.Encoding.DER)).hexdigest()


def new_key() -> Sensitive:
    """A fresh ECDSA P-256 key, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return Sensitive(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def request_of(key: Sensitive, name: str) -> bytes:
    """A certificate request, PEM, which proves that we hold the key. The master decides what goes into the answer."""
    private = serialization.load_pem_private_key(key.reveal(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey), "made by new_key"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{name}")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(private, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


async def fetch_ca(url: str, wanted_hash: str) -> bytes:
    """The cluster's CA as whoever answers at `url` tells it, taken only if its hash is the token's.

    Raises Unauthorized if it is not, Unavailable if nobody answers.
    """
    # Nothing is believed of this connection, and nothing secret is sent on it: the hash decides.
    blind = ssl.create_default_context()
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    body = await _asked("GET", url + CA_PATH, blind, None)
    ca = str(body.get("ca", "")).encode()
    if ca_hash(ca) != wanted_hash:
        raise Unauthorized(
            f"the master at {url} shows a CA that is not the token's: someone else answers there, or the token is "
            "of another cluster; nothing was sent"
        )
    return ca


async def join(url: str, ca: bytes, token: JoinToken, name: str, key: Sensitive) -> Joined:
    """Trade the token for a certificate. May be repeated with the same key, should an answer be lost.

    Raises: Unauthorized (unknown, expired, used up), Conflict (another machine is the node of this name), Unavailable.
    """
    told = {
        "token": token.text,
        "name": name,
        "request": request_of(key, name).decode(),
    }
    answer = await _asked("POST", url + JOIN_PATH, ssl.create_default_context(cadata=ca.decode()), told)
    try:
        return Joined(str(answer["certificate"]).encode(), str(answer["podCIDR"]), str(answer["serviceCIDR"]))
    except KeyError as error:
        raise Unavailable(f"the master at {url} gave an answer without {error}") from error


async def _asked(
    method: str, url: str, tls: ssl.SSLContext, body: Mapping[str, str] | None
) -> dict[str, Any]:
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    name = SERVER_NAME if tls.check_hostname else None
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(
                method,
                url,
                ssl=tls,
                server_hostname=name,
                data=orjson.dumps(body) if body is not None else None,
                headers={"Content-Type": "application/json"},
            ) as answer,
        ):
            found = await answer.content.read(ANSWER_MAX_BYTES)
            while not answer.content.at_eof() and len(found) < ANSWER_MAX_BYTES:
                found += await answer.content.read(ANSWER_MAX_BYTES - len(found))
            if answer.status >= 400:
                raise error_of_body(found, answer.status)
            decoded = orjson.loads(found)
    except (aiohttp.ClientError, TimeoutError, OSError, orjson.JSONDecodeError) as error:
        refused = isinstance(error, OSError) and error.errno == errno.ECONNREFUSED
        advice = f": {LISTENS}" if refused else ""
        raise Unavailable(f"master {url}: {why_unreached(error)}{advice}") from error
    if not isinstance(decoded, dict):
        raise Unavailable(f"master {url}: gave no JSON object")
    return decoded
