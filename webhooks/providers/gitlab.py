"""GitLab: the secret itself in `X-Gitlab-Token`, or a signing token (`whsec_…`) by Standard Webhooks.

Source: GitLab documentation, "Webhooks"; a retry keeps `Idempotency-Key`.
"""

from typing import Final

from webhooks.providers.base import (
    Delivery,
    Hint,
    Provider,
    body_id,
    branches_of,
    json_object,
    same,
    standard_signed,
    urls_of,
)


def _signed(delivery: Delivery, secret: bytes) -> bool:
    if delivery.header("webhook-signature"):
        return standard_signed(delivery, secret)
    return same(delivery.header("X-Gitlab-Token"), secret)


def _delivery_id(delivery: Delivery) -> str:
    names = ("Idempotency-Key", "webhook-id", "X-Gitlab-Event-UUID")
    return next((value for name in names if (value := delivery.header(name))), "") or body_id(delivery)


def _read(delivery: Delivery) -> Hint:
    payload = json_object(delivery.body)
    project = payload["project"]
    ref = payload.get("ref")
    return Hint(
        urls_of(project.get(name) for name in ("git_http_url", "git_ssh_url", "web_url")),
        branches_of([ref] if ref else []),
    )


PROVIDER: Final = Provider(_signed, _delivery_id, _read)
