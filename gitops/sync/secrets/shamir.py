"""Shamir's secret sharing over GF(2^8), as SOPS' key groups use it. A part is one byte of y for each byte, then x.

Source: hashicorp/vault shamir (in getsops/sops). Not constant-time: it runs where the data key is at hand anyway.
"""

from collections.abc import Callable, Sequence
from typing import Final

PARTS_MAX: Final = 255
_POLYNOMIAL: Final = 0x11B


def _tables() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Powers and logarithms of the generator 3."""
    power, value = [], 1
    for _ in range(255):
        power.append(value)
        doubled = value << 1
        value ^= doubled ^ (_POLYNOMIAL if doubled & 0x100 else 0)
    logarithm = [0] * 256
    for exponent, one in enumerate(power):
        logarithm[one] = exponent
    return tuple(power), tuple(logarithm)


_POWER, _LOGARITHM = _tables()


def _times(one: int, other: int) -> int:
    return _POWER[(_LOGARITHM[one] + _LOGARITHM[other]) % 255] if one and other else 0


def _over(one: int, other: int) -> int:
    return _POWER[(_LOGARITHM[one] - _LOGARITHM[other]) % 255] if one else 0


def combine(parts: Sequence[bytes]) -> bytes:
    """The secret. With too few parts, or parts of another secret, it is some bytes. ValueError: they are no parts."""
    places = [part[-1] for part in parts if part]
    lengths = {len(part) for part in parts}
    if len(lengths) != 1 or len(set(places)) != len(parts) or 0 in places:
        raise ValueError("the parts of the data key do not fit together")
    weights = []
    for place in places:
        weight = 1
        for other in places:
            if other != place:
                weight = _times(weight, _over(other, other ^ place))
        weights.append(weight)
    secret = bytearray(lengths.pop() - 1)
    for part, weight in zip(parts, weights, strict=True):
        for at, value in enumerate(part[:-1]):
            secret[at] ^= _times(value, weight)
    return bytes(secret)


def split(secret: bytes, parts: int, threshold: int, random_bytes: Callable[[int], bytes]) -> list[bytes]:
    """`parts` parts, of which any `threshold` give the secret."""
    assert 2 <= threshold <= parts <= PARTS_MAX, f"{threshold} of {parts}"
    made = [bytearray() for _ in range(parts)]
    for byte in secret:
        rest = random_bytes(threshold - 1)
        for x, part in enumerate(made, start=1):
            value = 0
            for coefficient in reversed((byte, *rest)):
                value = _times(value, x) ^ coefficient
            part.append(value)
    return [bytes(part) + bytes([x]) for x, part in enumerate(made, start=1)]
