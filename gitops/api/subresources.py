"""The subresources that are answered now. What is not in here is neither in discovery nor at its URL.

Clients decide by discovery what to try: a name that is listed and does not work is worse than one that is missing.
"""

from typing import Any, Final, NamedTuple

from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD
from gitops.kinds.core.service_account import SERVICE_ACCOUNT
from gitops.kinds.gitward import GIT_SOURCE
from gitops.kinds.kind import Kind


class Subresource(NamedTuple):
    """`answers`: group, version and kind of what it answers; empty: the object itself."""

    name: str
    verbs: tuple[str, ...]
    answers: tuple[str, str, str] | tuple[()] = ()


_STATUS: Final = Subresource("status", ("get", "patch", "update"))
_SCALE: Final = Subresource("scale", ("get", "patch", "update"), ("autoscaling", "v1", "Scale"))
_LOG: Final = Subresource("log", ("get",))
_STREAMS: Final = (
    Subresource("attach", ("create", "get"), ("", "v1", "PodAttachOptions")),
    Subresource("exec", ("create", "get"), ("", "v1", "PodExecOptions")),
    Subresource("portforward", ("create", "get"), ("", "v1", "PodPortForwardOptions")),
)
_EVICTION: Final = Subresource("eviction", ("create",), ("policy", "v1", "Eviction"))
_PROXY: Final = Subresource("proxy", ("get",), ("", "v1", "NodeProxyOptions"))
_TOKEN: Final = Subresource("token", ("create",), ("authentication.k8s.io", "v1", "TokenRequest"))
_SYNC: Final = Subresource("sync", ("create", "get"))


def subresources_of(kind: Kind[Any]) -> tuple[Subresource, ...]:
    """Of one kind, in order of their names."""
    found = [_STATUS] if "status" in kind.subresources else []
    if "scale" in kind.subresources:
        found.append(_SCALE)
    found += [Subresource(name, ("get", "patch", "update")) for name in kind.parts]
    if kind is POD:
        found += (_EVICTION, _LOG, *_STREAMS)
    if kind is SERVICE_ACCOUNT:
        found.append(_TOKEN)
    if kind is NODE:
        found.append(_PROXY)
    if kind is GIT_SOURCE:
        found.append(_SYNC)
    return tuple(sorted(found))
