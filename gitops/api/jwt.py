"""Signed tokens: JSON Web Tokens by ECDSA P-256 (ES256), and their keys. What the claims mean is not decided here.

The key lies in `D/pki/sa.key` (mode 0600), made at the first start. The file may hold several keys, PEM after PEM: the
first signs, all are believed, so a new one put before the old one rotates it. Only ES256 is read, whatever a token's
header says. Source: RFC 7515, 7517, 7519, 7638, 8725.
"""

import hashlib
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from gitops.api.certificates import write_private
from gitops.kinds.errors import Unauthorized, Unavailable
from gitops.kinds.sensitive import Sensitive

ALGORITHM: Final = "ES256"
NUMBER_BYTES: Final = 32  # Of a coordinate, and of either half of a signature.
TOKEN_CHARACTERS_MAX: Final = 16 << 10
ISSUER: Final = "https://kubernetes.default.svc.cluster.local"  # Also the audience of who names none.
_PEM: Final = re.compile(rb"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----\n?", re.DOTALL)
_PART: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """What tokens are signed with and checked by."""

    _keys: tuple[ec.EllipticCurvePrivateKey, ...]

    def sign(self, claims: Mapping[str, object]) -> Sensitive:
        """The token, by the first key."""
        key = self._keys[0]
        header = {"alg": ALGORITHM, "kid": _thumbprint(key)}
        body = f"{_encoded(orjson.dumps(header))}.{_encoded(orjson.dumps(claims))}"
        r, s = decode_dss_signature(key.sign(body.encode(), ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(NUMBER_BYTES, "big") + s.to_bytes(NUMBER_BYTES, "big")
        return Sensitive(f"{body}.{_encoded(signature)}")

    def claims(self, token: str) -> Mapping[str, Any]:
        """What a token that we signed says. Raises Unauthorized for every other one, always in the same words."""
        try:
            return self._claims(token)
        except (ValueError, InvalidSignature) as error:
            raise Unauthorized("invalid bearer token") from error

    def jwks(self) -> Mapping[str, object]:
        """The public keys, as others check tokens by them (RFC 7517)."""
        return {
            "keys": [
                {**_jwk(key), "use": "sig", "alg": ALGORITHM, "kid": _thumbprint(key)} for key in self._keys
            ]
        }

    def _claims(self, token: str) -> Mapping[str, Any]:
        parts = token.split(".") if len(token) <= TOKEN_CHARACTERS_MAX else []
        if len(parts) != 3:
            raise ValueError("not three parts")
        header, claims, signature = map(_decoded, parts)
        told = orjson.loads(header)
        if not isinstance(told, dict) or told.get("alg") != ALGORITHM or "crit" in told:
            raise ValueError("not signed as ours are")
        key = next((one for one in self._keys if _thumbprint(one) == told.get("kid")), None)
        if key is None or len(signature) != 2 * NUMBER_BYTES:
            raise ValueError("not signed by us")
        halves = (
            int.from_bytes(signature[:NUMBER_BYTES], "big"),
            int.from_bytes(signature[NUMBER_BYTES:], "big"),
        )
        body = token.rpartition(".")[0].encode()
        key.public_key().verify(encode_dss_signature(*halves), body, ec.ECDSA(hashes.SHA256()))
        found = orjson.loads(claims)
        if not isinstance(found, dict):
            raise ValueError("claims are no map")
        return found


def load_or_make_token_keys(pki: Path) -> TokenKeys:
    """The keys in `pki`, one made if there is none. Raises Unavailable if they cannot be read."""
    path = pki / "sa.key"
    try:
        if not path.exists():
            write_private(path, _pem(ec.generate_private_key(ec.SECP256R1())))
        found = [serialization.load_pem_private_key(one, None) for one in _PEM.findall(path.read_bytes())]
    except (OSError, ValueError, TypeError) as error:
        raise Unavailable(f"{path}: the key of service accounts cannot be read: {error}") from error
    keys = tuple(
        one for one in found if isinstance(one, ec.EllipticCurvePrivateKey) and one.curve.name == "secp256r1"
    )
    if not keys or len(keys) != len(found):
        raise Unavailable(f"{path}: wanted ECDSA P-256 keys in PEM and nothing else")
    return TokenKeys(keys)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _jwk(key: ec.EllipticCurvePrivateKey) -> Mapping[str, str]:
    """In the order of names, which the thumbprint needs."""
    numbers = key.public_key().public_numbers()
    x, y = (_encoded(number.to_bytes(NUMBER_BYTES, "big")) for number in (numbers.x, numbers.y))
    return {"crv": "P-256", "kty": "EC", "x": x, "y": y}


def _thumbprint(key: ec.EllipticCurvePrivateKey) -> str:
    return _encoded(hashlib.sha256(orjson.dumps(_jwk(key))).digest())


def _encoded(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    """Raises ValueError for anything but base64 of its one right form: a token has one spelling."""
    if not _PART.fullmatch(text):
        raise ValueError("not base64")
    try:
        found = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except Base64Error as error:
        raise ValueError("not base64") from error
    if _encoded(found) != text:
        raise ValueError("not its one form")
    return found
