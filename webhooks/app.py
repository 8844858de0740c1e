"""The Flask application that takes webhooks: verify over the raw body, parse afterwards, answer within a second.

Answers: 401 no or a bad signature, 404 unknown provider, 413 over 5 MB, 202 accepted whatever comes of it (a delivery
that names no source of ours, a branch that nobody follows, a repeated one). Without a secret every hook is refused.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from webhooks.providers import azure, bitbucket, generic, gitea, github, gitlab, registry
from webhooks.providers.base import Delivery, Hint, Provider
from webhooks.replay import Refusals, Seen
from webhooks.urls import same_repository

log = logging.getLogger(__name__)

BODY_BYTES_MAX: Final = 5 * 1024 * 1024  # GitHub caps at 25 MB; a push of 2,048 commits stays under 5.
PROVIDERS: Final[Mapping[str, Provider]] = {
    "azure": azure.PROVIDER,
    "bitbucket": bitbucket.PROVIDER,
    "dockerhub": registry.by_path("dockerhub"),
    "forgejo": gitea.PROVIDER,
    "generic": generic.PROVIDER,
    "ghcr": github.PROVIDER,
    "gitea": gitea.PROVIDER,
    "github": github.PROVIDER,
    "gitlab": gitlab.PROVIDER,
    "gogs": gitea.PROVIDER,
    "harbor": registry.BY_HEADER,
    "quay": registry.by_path("quay"),
    "registry": registry.BY_HEADER,
}


class Source(NamedTuple):
    """A followed repository, as far as a hook can name it. `branch` '': the remote's default one. `secrets`: who may
    hint at it; none: whoever knows one of the application's own."""

    name: str
    url: str
    branch: str
    secrets: tuple[bytes, ...] = ()


def make_app(
    trigger: Callable[[str], None],
    sources: Callable[[], Iterable[Source]],
    secrets: tuple[bytes, ...],
    *,
    clock: Callable[[], float] = time.time,
) -> Flask:
    """The application for `/hooks/<provider>`.

    Args:
        trigger: called with a source's name; must return at once and may be called from any thread.
        sources: the followed repositories now; may be called from any thread.
        secrets: any of them may have signed (two while a secret is rotated), for all sources without their own.
        clock: seconds since 1970, against which signed times are judged.
    """
    app = Flask("gitward-webhooks")
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES_MAX
    seen, refusals = Seen(), Refusals()
    app.extensions["refusals"] = refusals

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        return _answer(error.code or 500, error.name)

    @app.post("/hooks/<provider>", defaults={"token": ""})
    @app.post("/hooks/<provider>/<token>")
    def receive(provider: str, token: str) -> Response:
        verify_and_read = PROVIDERS.get(provider)
        if verify_and_read is None:
            return _answer(404, f"unknown provider; known: {', '.join(sorted(PROVIDERS))}")
        now = clock()
        delivery = Delivery(dict(request.headers.items()), request.get_data(cache=False), now, token)
        followed = tuple(sources())
        signer = _signer(
            verify_and_read, delivery, (*secrets, *(key for one in followed for key in one.secrets))
        )
        if signer is None:
            if count := refusals.one_more(now):
                facts = {"provider": provider, "refused": count}
                log.warning("webhooks refused: no or a bad signature", extra={"fields": facts})
            return _answer(401, "no or a bad signature")
        if not seen.first_time(provider, signer, verify_and_read.delivery_id(delivery)):
            return _answer(202, "seen before")
        try:
            hint = verify_and_read.read(delivery)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
            facts = {"provider": provider, "error": type(error).__name__}
            log.warning("webhook not understood", extra={"fields": facts})
            return _answer(202, "accepted, but not understood")
        named = [one.name for one in followed if signer in (one.secrets or secrets) and _concerns(hint, one)]
        for name in named:
            trigger(name)
        return _answer(202, f"accepted: {', '.join(named) or 'no source of that repository and branch'}")

    return app


def _signer(provider: Provider, delivery: Delivery, secrets: Iterable[bytes]) -> bytes | None:
    """The secret that signed. None: no one did."""
    return next((one for one in dict.fromkeys(secrets) if one and provider.signed(delivery, one)), None)


def _concerns(hint: Hint, source: Source) -> bool:
    """A hook that names no repository concerns every source; one without branches every branch of its repository."""
    if hint.ping:
        return False
    if hint.urls and not any(same_repository(url, source.url) for url in hint.urls):
        return False
    return not hint.branches or not source.branch or source.branch in hint.branches


def _answer(code: int, message: str) -> Response:
    return Response(json.dumps({"message": message}) + "\n", status=code, mimetype="application/json")
