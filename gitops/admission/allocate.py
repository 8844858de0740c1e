"""Cluster addresses of services: which are free, and what a service gets that did not ask for one. Pure.

An address is chosen from the service's name, not at random: a service made anew gets its address back if it is free,
and two writers that decide at the same moment for different services rarely meet.
Source: Kubernetes, "Service ClusterIP allocation" (the static band) and registry/core/service.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Final, cast
from zlib import crc32

from gitops.admission.settings import Settings
from gitops.kinds import wording
from gitops.kinds.core.service import SERVICE, Service, ServiceSpec
from gitops.kinds.errors import Unavailable
from gitops.kinds.keys import Key
from gitops.kinds.kind import Problem
from gitops.kinds.objects import key_of
from gitops.reconcile import Reader

HEADLESS: Final = "None"
STATIC_BAND_MIN, STATIC_BAND_MAX = (
    16,
    256,
)  # The lower addresses are left for those who choose, as in Kubernetes.


def with_address(view: Reader, service: Service, settings: Settings) -> Service:
    """The service with a cluster address, if its type has one and it has none.

    Raises: Unavailable, if the range is used up.
    """
    spec = service["spec"]
    if spec.get("type") == "ExternalName":
        return service
    address = spec.get("clusterIP")
    if not address:
        address = str(_free(view, key_of(service), settings))
    if spec.get("clusterIPs") == [address] and spec.get("clusterIP") == address:
        return service
    return {**service, "spec": {**spec, "clusterIP": address, "clusterIPs": [address]}}


def keep_address(old: Service, new: Service) -> Service:
    """The new service with what was allocated to the old one, where it leaves that out."""
    before, after = old["spec"], new["spec"]
    if after.get("type") == "ExternalName" or after.get("clusterIP") or not before.get("clusterIP"):
        return new
    kept = {name: before[name] for name in ("clusterIP", "clusterIPs") if name in before}
    return {**new, "spec": cast(ServiceSpec, {**after, **kept})}


def check_address(view: Reader, service: Service, settings: Settings) -> Iterator[Problem]:
    """A chosen address must lie in the range and be free."""
    address = service["spec"].get("clusterIP")
    if not address or address == HEADLESS:
        return
    field = "spec.clusterIPs"
    try:
        inside = IPv4Address(address) in settings.service_cidr
    except ValueError:
        yield wording.invalid(field, [address], "must be a valid IP address, (e.g. 10.9.8.7)")
        return
    if not inside:
        why = f"failed to allocate IP {address}: the provided IP is not in the valid range. The range of valid IPs is"
        yield wording.invalid(field, [address], f"{why} {settings.service_cidr}")
    elif address in _taken(view, key_of(service)):
        yield wording.invalid(
            field, [address], f"failed to allocate IP {address}: provided IP is already allocated"
        )


def _taken(view: Reader, but: Key) -> set[str]:
    services = (service for service in view.list(SERVICE) if key_of(service) != but)
    return {address for service in services if (address := service["spec"].get("clusterIP"))}


def _free(view: Reader, key: Key, settings: Settings) -> IPv4Address:
    """The first free address from where the name points, going round; the static band comes last."""
    network = settings.service_cidr
    taken = _taken(view, key) | {str(settings.api_address), str(settings.dns_address)}
    usable = range(1, network.num_addresses - 1)  # Neither the network's own nor the broadcast address.
    band = min(max(STATIC_BAND_MIN, network.num_addresses // 16), STATIC_BAND_MAX)
    for part in (usable[band:], usable[:band]):
        if part:
            start = crc32(f"{key.namespace}/{key.name}".encode()) % len(part)
            for index in _around(part, start):
                if str(network[index]) not in taken:
                    return network[index]
    raise Unavailable(f"no address of {network} is free for service {key.namespace}/{key.name}")


def _around(part: range, start: int) -> Iterator[int]:
    yield from part[start:]
    yield from part[:start]
