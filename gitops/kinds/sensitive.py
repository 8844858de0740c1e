"""A secret as a type: what must not be seen cannot be shown by accident."""

from hmac import compare_digest
from typing import NoReturn


class Sensitive:
    """Bytes that must not be seen: repr, f-strings, logs, JSON and pickle cannot show them; `reveal()` can.

    In an object it stands where a JSON string leaf would stand and holds that string's UTF-8 bytes (so for a Secret's
    `data` the base64 text). `git grep 'reveal('` is the list of the places that use secrets.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes | str) -> None:
        self._value = value.encode() if isinstance(value, str) else value

    def reveal(self) -> bytes:
        """The bytes themselves: only for an encoder to someone who may read them, and for mounts and environments."""
        return self._value

    def __repr__(self) -> str:
        return "<sensitive>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sensitive) and compare_digest(self._value, other._value)

    __hash__ = None  # type: ignore[assignment] # A hash would let a value be guessed by comparing.

    def __reduce__(self) -> NoReturn:
        raise TypeError("a sensitive value is not pickled")
