"""The node's certificate before it ends: a new key and a new certificate, while all connections go on.

Renewed when a third of its life is left, so that a master may be away for months. Source: the kubelet's certificate
rotation (`--rotate-certificates`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from cryptography import x509

from gitops.client import Client, Credentials
from gitops.client.joining import new_key, request_of
from gitops.kinds.errors import GitwardError

log = logging.getLogger(__name__)

LOOK_SECONDS_MAX: Final = 3600.0  # A host that slept, or whose clock was set, looks soon enough.
RETRY_SECONDS: Final = 60.0


async def keep_certificate(
    client: Client,
    node: str,
    save: Callable[[Credentials], object],
    clock: Callable[[], datetime],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """For ever. `save` keeps the new ones before they are used: an agent that dies right then still has a way back."""
    while True:
        left = (renew_at(client.credentials.cert) - clock()).total_seconds()
        if left > 0:
            await sleep(min(left, LOOK_SECONDS_MAX))
            continue
        try:
            renewed = await _renewed(client, node)
        except GitwardError as error:
            log.warning("certificate not renewed", extra={"fields": {"node": node, "error": str(error)}})
            await sleep(RETRY_SECONDS)
            continue
        save(renewed)
        client.renew(renewed)
        log.info("certificate renewed", extra={"fields": {"node": node, "next": str(renew_at(renewed.cert))}})


def renew_at(cert: bytes) -> datetime:
    """When a third of its life is left."""
    found = x509.load_pem_x509_certificate(cert)
    return found.not_valid_after_utc - (found.not_valid_after_utc - found.not_valid_before_utc) / 3


async def _renewed(client: Client, node: str) -> Credentials:
    key = new_key()
    answer = await client.request(
        "POST", f"/gitward/v1/nodes/{node}/certificate", body={"request": request_of(key, node).decode()}
    )
    return replace(client.credentials, cert=str(answer["certificate"]).encode(), key=key)
