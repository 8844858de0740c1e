"""The errors that users meet. Each bears Kubernetes' StatusReason and HTTP code, and says whether a retry can help.

A driver translates its library's errors into these once, with `from`. The API turns them into `Status` objects,
the runner into conditions, the CLI into one line on stderr. Source of reasons and codes: Kubernetes API concepts.
"""

from typing import ClassVar

from gitops.kinds.keys import Key, Origin


class GitwardError(Exception):
    """Root of all errors that are meant for people. `retry`: the same call may succeed later, unchanged."""

    reason: ClassVar[str] = "InternalError"
    code: ClassVar[int] = 500
    retry: ClassVar[bool] = False


class Invalid(GitwardError):
    """An object that breaks a rule of its kind. `causes` are (field path, message) pairs, all told together."""

    reason = "Invalid"
    code = 422

    def __init__(self, message: str, causes: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.causes = causes


class InvalidField(Invalid):
    """A field of an object in a file: `apps/web.yaml:14 @ 3f2c1ab: Deployment shop/web: spec.replicas: found …`."""

    def __init__(self, at: Origin, key: Key, field: str, *, found: object, wanted: str) -> None:
        super().__init__(
            f"{at}: {key}: {field}: found {found!r}, wanted {wanted}",
            ((field, f"found {found!r}, wanted {wanted}"),),
        )


class BadRequest(GitwardError):
    reason = "BadRequest"
    code = 400


class Unauthorized(GitwardError):
    reason = "Unauthorized"
    code = 401


class Forbidden(GitwardError):
    """The caller may not do this; for a field that git owns the message names file and line."""

    reason = "Forbidden"
    code = 403


class NotFound(GitwardError):
    reason = "NotFound"
    code = 404


class AlreadyExists(GitwardError):
    reason = "AlreadyExists"
    code = 409


class Conflict(GitwardError):
    """A precondition on a version did not hold: someone else wrote first. Read again and decide again."""

    reason = "Conflict"
    code = 409
    retry = True


class Fenced(Conflict):
    """Another master leads now: whoever sees this stops acting as leader."""

    retry = False


class Expired(GitwardError):
    """A revision below the floor, or a watcher that fell too far behind: list again."""

    reason = "Expired"
    code = 410


class TooLarge(GitwardError):
    """A revision that does not exist yet (Kubernetes: `Too large resource version`)."""

    reason = "Timeout"
    code = 504
    retry = True


class Unavailable(GitwardError):
    """Something outside did not answer or refused: disk, Docker, git server. Nothing was lost; try later."""

    reason = "ServiceUnavailable"
    code = 503
    retry = True
