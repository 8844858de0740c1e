"""The Flask application that takes webhooks: verify over the raw body, parse afterwards, answer within a second.

Answers: 401 no or a bad signature, 404 unknown provider, 413 over 5 MB, 202 accepted whatever comes of it (a delivery
that names no source of ours, a branch that nobody follows, a repeated one). Without a secret every hook is refused.
"""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from webhooks.providers import generic, github
from webhooks.providers.base import Delivery, Hint, Provider
from webhooks.replay import Seen
from webhooks.urls import same_repository

log = logging.getLogger(__name__)

BODY_BYTES_MAX: Final = 5 * 1024 * 1024  # GitHub caps at 25 MB; a push of 2,048 commits stays under 5.
PROVIDERS: Final[Mapping[str, Provider]] = {"generic": generic.PROVIDER, "github": github.PROVIDER}


class Source(NamedTuple):
    """A followed repository, as far as a hook can name it. `branch` '': the remote's default one."""

    name: str
    url: str
    branch: str


def make_app(
    trigger: Callable[[str], None], sources: Callable[[], Iterable[Source]], secrets: tuple[bytes, ...]
) -> Flask:
    """The application for `/hooks/<provider>`.

    Args:
        trigger: called with a source's name; must return at once and may be called from any thread.
        sources: the followed repositories now.
        secrets: any of them may have signed (two while a secret is rotated); empty: every hook is refused.
    """
    app = Flask("gitward-webhooks")
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES_MAX
    seen = Seen()

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        return _answer(error.code or 500, error.name)

    @app.post("/hooks/<provider>")
    def receive(provider: str) -> Response:
        verify_and_read = PROVIDERS.get(provider)
        if verify_and_read is None:
            return _answer(404, f"unknown provider {provider!r}; known: {', '.join(sorted(PROVIDERS))}")
        delivery = Delivery(dict(request.headers.items()), request.get_data(cache=False))
        if not any(verify_and_read.signed(delivery, secret) for secret in secrets):
            log.warning("webhook refused: no or a bad signature", extra={"fields": {"provider": provider}})
            return _answer(401, "no or a bad signature")
        if not seen.first_time(provider, verify_and_read.delivery_id(delivery)):
            return _answer(202, "seen before")
        try:
            hint = verify_and_read.read(delivery)
        except (ValueError, TypeError, KeyError, AttributeError, json.JSONDecodeError) as error:
            log.warning(
                "webhook not understood", extra={"fields": {"provider": provider, "error": str(error)}}
            )
            return _answer(202, "accepted, but not understood")
        named = [source.name for source in sources() if _concerns(hint, source)]
        for name in named:
            trigger(name)
        return _answer(202, f"accepted: {', '.join(named) or 'no source of that repository and branch'}")

    return app


def _concerns(hint: Hint, source: Source) -> bool:
    """A hook that names no repository (generic) concerns every source; one without a branch every branch of its own."""
    if hint.ping:
        return False
    if hint.urls and not any(same_repository(url, source.url) for url in hint.urls):
        return False
    return not hint.branch or not source.branch or hint.branch == source.branch


def _answer(code: int, message: str) -> Response:
    return Response(json.dumps({"message": message}) + "\n", status=code, mimetype="application/json")
