"""Who asks: the client certificate that the TLS handshake verified, or a service account's token.

Source: Kubernetes, "Authenticating".

The handshake sees a certificate once; connections and watches last longer. So its end counts at each request, and ends
what is still being answered then: a right does not outlive the certificate that gave it, nor the Node that it is of.
"""

import asyncio
import logging
import ssl
from itertools import chain
from typing import Final

from aiohttp import web

from gitops.api.authorize import refuse_account
from gitops.api.context import CLOCK, MINT, REQUEST_ID, STORE, TOKEN_KEYS, USER, User
from gitops.api.nodes import refuse_other_machine
from gitops.api.service_accounts import AUTHENTICATED, believed
from gitops.api.status import Handler
from gitops.api.visits import VISITS
from gitops.client.joining import CA_PATH, JOIN_PATH
from gitops.kinds.errors import Forbidden, Unauthorized

log = logging.getLogger(__name__)

# A machine that joins has no certificate yet: what it asks there says who it is (`gitops.api.joining`).
OPEN_PATHS: Final = frozenset({"/healthz", "/livez", "/readyz", "/version", "/version/", CA_PATH, JOIN_PATH})
LIFE_SECONDS_MAX: Final = 10 * 86_400.0  # What a timer takes; no request lasts as long.
MACHINE_FIELD: Final = "serialNumber"  # Of a certificate's subject, as `ssl` names it.


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Without certificate and token only health and version are answered; 401 for all else, known path or not."""
    user, left = _who(request)
    if user is None and request.path not in OPEN_PATHS:
        raise Unauthorized("Unauthorized")
    if any(name.startswith("Impersonate-") for name in request.headers):
        raise Forbidden("impersonation is not supported")  # Ignoring it would answer for someone else.
    if user is not None:
        refuse_account(user, request.method, request.path)
        refuse_other_machine(request.app[STORE].view(), user, machine_of(request))
        request[USER] = user
    request[REQUEST_ID] = request.app[MINT].uid()
    if user is None:
        return await handler(request)
    try:
        async with asyncio.timeout(min(left, LIFE_SECONDS_MAX)) as life:
            with request.app[VISITS].lasting(user, machine_of(request), life):
                return await handler(request)
    except TimeoutError as error:
        if not life.expired():
            raise
        _hang_up(request)
        raise Unauthorized("the client certificate or token counts no more") from error


def _who(request: web.Request) -> tuple[User | None, float]:
    """Who asks, and how many seconds longer that is shown. A certificate goes before a token.

    Raises Unauthorized for a token that is not believed, wherever it is shown.
    """
    if (user := user_of(request)) is not None:
        return user, _seconds_left(request)
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None, 0.0
    now = request.app[CLOCK]()
    try:
        account = believed(request.app[TOKEN_KEYS], request.app[STORE].view(), token.strip(), now)
    except Unauthorized as error:
        log.info("token refused", extra={"fields": {"why": str(error), "path": request.path}})
        raise Unauthorized("Unauthorized") from error
    return account.user, (account.expires - now).total_seconds()


def _seconds_left(request: web.Request) -> float:
    """Of the life of the client's certificate."""
    certificate = request.get_extra_info("peercert") or {}
    end = ssl.cert_time_to_seconds(certificate["notAfter"])
    return end - request.app[CLOCK]().timestamp()


def _hang_up(request: web.Request) -> None:
    """A stream that has begun has no other end that its reader would notice."""
    if request.transport is not None:
        request.transport.close()


def machine_of(request: web.Request) -> str:
    """Which machine a node's certificate was given to; '': one of the master's own."""
    certificate = request.get_extra_info("peercert") or {}
    subject = chain.from_iterable(certificate.get("subject", ()))
    return next((value for field, value in subject if field == MACHINE_FIELD), "")


def user_of(request: web.Request) -> User | None:
    """None: anonymous. A certificate of another CA never comes here, the handshake refuses it."""
    certificate = request.get_extra_info("peercert")
    if not certificate:
        return None
    subject = list(chain.from_iterable(certificate.get("subject", ())))
    names = [value for field, value in subject if field == "commonName"]
    if not names or _seconds_left(request) <= 0:
        return None
    groups = (value for field, value in subject if field == "organizationName")
    return User(names[-1], frozenset(groups) | {AUTHENTICATED})
