"""Every error as a `Status` object, in Kubernetes' own words: clients and scripts match on them.

Source: Kubernetes API conventions, "Response Status Kind"; apimachinery/pkg/api/errors.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import orjson
from aiohttp import web

from gitops.admission.merge import FieldConflict
from gitops.api.context import REQUEST_ID, STREAMING, TARGET, Target
from gitops.kinds.errors import AlreadyExists, Conflict, Expired, GitwardError, Invalid, NotFound, TooLarge

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_CAUSES: Final = (
    ("Required value", "FieldValueRequired"),
    ("Duplicate value", "FieldValueDuplicate"),
    ("Unsupported value", "FieldValueNotSupported"),
    ("Forbidden", "FieldValueForbidden"),
    ("Not found", "FieldValueNotFound"),
    ("Too long", "FieldValueTooLong"),
    ("Too many", "FieldValueTooMany"),
)
_HTTP_REASONS: Final = {
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
}


@web.middleware
async def errors_as_status(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The outermost middleware. What nobody expected is logged and told without details."""
    try:
        return await handler(request)
    except GitwardError as error:
        _cut_if_begun(request, error)
        status = status_of(error, request.get(TARGET))
    except web.HTTPException as error:
        if error.status < 400:
            raise
        text = error.text or error.reason
        status = failure(error.status, _HTTP_REASONS.get(error.status, error.reason.replace(" ", "")), text)
    except ConnectionError:
        raise  # The client went away: there is nobody to tell.
    except Exception as error:  # The top of a request.
        facts = {"path": request.path, "request": request.get(REQUEST_ID)}
        log.exception("request failed", extra={"fields": facts})
        _cut_if_begun(request, error)
        status = failure(500, "InternalError", "Internal error occurred: see the master's log")
    return answer_status(status)


def _cut_if_begun(request: web.Request, error: Exception) -> None:
    """No second answer can be sent: the connection is cut, so that the client sees that something is missing."""
    if request.get(STREAMING):
        raise ConnectionResetError("the answer ended early") from error


def answer_status(status: dict[str, Any]) -> web.Response:
    headers = {}
    if seconds := (status.get("details") or {}).get("retryAfterSeconds"):
        headers["Retry-After"] = str(seconds)
    code = status["code"]
    return web.Response(
        body=orjson.dumps(status), status=code, content_type="application/json", headers=headers
    )


def failure(code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> dict[str, Any]:
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message}
    return {**status, "reason": reason, **({"details": details} if details else {}), "code": code}


def success(target: Target, uid: str = "") -> dict[str, Any]:
    """What a finished delete answers."""
    details = {"name": target.name, "group": target.kind.group, "kind": target.kind.plural}
    if uid:
        details["uid"] = uid
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
        "code": 200,
    }


def status_of(error: GitwardError, target: Target | None = None) -> dict[str, Any]:
    """One of our errors; `target` fills in the details."""
    details: dict[str, Any] = {}
    if target is not None and target.name:
        details = {"name": target.name, "group": target.kind.group, "kind": target.kind.plural}
        details = {name: value for name, value in details.items() if value}
    if isinstance(error, Invalid) and error.causes:
        details["causes"] = [_cause(field, message) for field, message in error.causes]
    if isinstance(error, ApplyConflict):
        details["causes"] = [
            {"reason": "FieldManagerConflict", "message": message, "field": field}
            for field, message in error.causes
        ]
    if isinstance(error, TooLarge):
        details["causes"] = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
        details["retryAfterSeconds"] = 1
    status = failure(error.code, error.reason, str(error), details)
    if isinstance(error, ContinueExpired):
        status["metadata"] = {"continue": error.next_token}
    return status


class ApplyConflict(Conflict):
    """Server-side apply met fields that other managers own. In kube-apiserver's words, on which kubectl adds advice."""

    def __init__(self, found: Sequence[FieldConflict]) -> None:
        super().__init__(_applied(found))
        self.conflicts = tuple(found)
        self.causes = tuple((one.field, f"conflict with {_manager(one)}") for one in found)


def _applied(found: Sequence[FieldConflict]) -> str:
    if len(found) == 1:
        return f"Apply failed with 1 conflict: conflict with {_manager(found[0])}: {found[0].field}"
    by_manager: dict[str, list[str]] = {}
    for one in found:
        by_manager.setdefault(_manager(one), []).append(f"- {one.field}")
    lines = [line for name in sorted(by_manager) for line in (f"conflicts with {name}:", *by_manager[name])]
    return f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)


def _manager(one: FieldConflict) -> str:
    using = f" using {one.api_version}" if one.operation == "Update" else ""
    return f'"{one.manager}"{using}'


class ContinueExpired(Expired):
    """A continue token whose snapshot is gone; `next_token` goes on at the present state instead."""

    def __init__(self, next_token: str) -> None:
        super().__init__(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list "
            "without the continue parameter, or use the continue token in this response to retrieve the remainder of "
            "the results. Continuing with the provided token results in an inconsistent list."
        )
        self.next_token = next_token


def not_found(target: Target) -> NotFound:
    return NotFound(f'{target.kind.resource} "{target.name}" not found')


def already_exists(target: Target, name: str) -> AlreadyExists:
    return AlreadyExists(f'{target.kind.resource} "{name}" already exists')


def conflict(target: Target, why: str = "") -> Conflict:
    modified = "the object has been modified; please apply your changes to the latest version and try again"
    return Conflict(
        f'Operation cannot be fulfilled on {target.kind.resource} "{target.name}": {why or modified}'
    )


def _cause(field: str, message: str) -> dict[str, str]:
    reason = next((reason for start, reason in _CAUSES if message.startswith(start)), "FieldValueInvalid")
    return {"reason": reason, "message": message, "field": field}
