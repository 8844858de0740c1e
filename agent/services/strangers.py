"""Endpoints whose address has another pod by now: pure.

An address is used again. Until the cluster's endpoints follow, a node would send what is meant for the pod that is gone
to the one that came, perhaps another tenant's; a node knows best which of its pods has which address.
"""

from collections.abc import Iterable, Mapping

from gitops.kinds.discovery import Endpoint, EndpointSlice


def without_strangers(
    slices: Iterable[EndpointSlice], owners: Mapping[str, str]
) -> tuple[EndpointSlice, ...]:
    """`owners`: address -> uid of the pod of this node that has it. Endpoints that name no pod stay."""
    return tuple(_known(each, owners) for each in slices)


def has_stranger(slices: Iterable[EndpointSlice], address: str, uid: str) -> bool:
    """Whether an endpoint at `address` is not the pod `uid`."""
    owners = {address: uid}
    return any(_is_strange(endpoint, owners) for each in slices for endpoint in each["endpoints"])


def _known(each: EndpointSlice, owners: Mapping[str, str]) -> EndpointSlice:
    if not any(_is_strange(endpoint, owners) for endpoint in each["endpoints"]):
        return each
    return {**each, "endpoints": [one for one in each["endpoints"] if not _is_strange(one, owners)]}


def _is_strange(endpoint: Endpoint, owners: Mapping[str, str]) -> bool:
    named = (endpoint.get("targetRef") or {}).get("uid")
    return bool(named) and any(owners.get(address, named) != named for address in endpoint["addresses"])
