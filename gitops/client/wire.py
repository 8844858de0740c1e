"""What goes over the wire, from the client's side: answers become objects, `Status` objects become our errors.

The values of a Secret are wrapped in `Sensitive` as soon as they are decoded, as everywhere inside the master.
Source: Kubernetes API concepts, "Status kind" and "Efficient detection of changes".
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from gitops.kinds import errors
from gitops.kinds.errors import GitwardError
from gitops.kinds.sensitive import Sensitive

_BY_REASON: Final[Mapping[str, type[GitwardError]]] = {
    kind.reason: kind
    for kind in (
        errors.BadRequest,
        errors.Unauthorized,
        errors.Forbidden,
        errors.NotFound,
        errors.AlreadyExists,
        errors.Conflict,
        errors.Expired,
        errors.TooLarge,
        errors.Unavailable,
        errors.Invalid,
    )
}
_BY_CODE: Final[Mapping[int, type[GitwardError]]] = {
    400: errors.BadRequest,
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: errors.Forbidden,
    409: errors.Conflict,
    410: errors.Expired,
    422: errors.Invalid,
    429: errors.Unavailable,
    502: errors.Unavailable,
    503: errors.Unavailable,
    504: errors.Unavailable,
}


def error_of(status: Mapping[str, Any], code: int = 500) -> GitwardError:
    """The error that a `Status` object tells of: by its reason, else by its code."""
    found = _BY_REASON.get(status.get("reason", "")) or _BY_CODE.get(status.get("code") or code, GitwardError)
    message = status.get("message") or f"HTTP {code}"
    if issubclass(found, errors.Invalid):
        causes = (status.get("details") or {}).get("causes") or ()
        return errors.Invalid(
            message, tuple((cause.get("field", ""), cause.get("message", "")) for cause in causes)
        )
    return found(message)


def error_of_body(body: bytes, code: int) -> GitwardError:
    """As `error_of`, for an answer that may be plain text (a proxy's, for instance)."""
    try:
        status = orjson.loads(body)
    except orjson.JSONDecodeError:
        status = None
    if isinstance(status, dict):
        return error_of(status, code)
    return error_of({"message": body[:512].decode(errors="replace").strip()}, code)


def guarded(obj: dict[str, Any]) -> dict[str, Any]:
    """The object with the values of a Secret wrapped; anything else as it is."""
    if obj.get("kind") != "Secret" or not obj.get("data"):
        return obj
    return {**obj, "data": {name: Sensitive(value) for name, value in obj["data"].items()}}


def reveal(leaf: object) -> str:
    """The `default` of `orjson.dumps` for request bodies: what we send we may read."""
    if isinstance(leaf, Sensitive):
        return leaf.reveal().decode()
    raise TypeError(f"{type(leaf).__name__} is not JSON")
