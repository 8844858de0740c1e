"""The kernel's table of flows: which are open to a pod, and forgetting those that would still go to a gone one."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from agent.services.backend import run
from agent.services.table import OutsidePort, ServicePort, ServiceTable
from gitops.kinds.errors import Unavailable

OPEN_STATES: Final = frozenset({"SYN_SENT", "SYN_RECV", "ESTABLISHED"})
NOTHING_FOUND: Final = "0 flow entries"


class Flow(NamedTuple):
    state: str
    source: str
    destination: str  # As the caller asked: a service's address, or the pod's.


class Forgotten(NamedTuple):
    """UDP flows that must find their way anew. `address` '': to any; `backend` '': those that met nobody."""

    address: str
    port: int
    backend: str


def listed() -> str:
    """All flows, of every protocol, a line each."""
    return run(("conntrack", "-L"))


def names(text: str, address: str) -> bool:
    """Whether a list has a flow that `address` began or answers."""
    return f"src={address} " in text


def flows_to(text: str, address: str) -> list[Flow]:
    """TCP flows in a list that `address` answers, whoever asked and whatever address they asked for."""
    source = f"src={address} "
    if source not in text:
        return []
    answered = (line for line in text.splitlines() if source in line.partition(" dport=")[2])
    return list(parse("\n".join(answered)))


def parse(text: str) -> Iterator[Flow]:
    """`tcp 6 86399 ESTABLISHED src=10.77.0.2 dst=10.78.0.5 sport=1 dport=80 src=… dst=… [ASSURED] …`."""
    for line in text.splitlines():
        words = line.split()
        if len(words) < 6 or words[0] != "tcp":
            continue
        fields = [word.partition("=") for word in words[4:]]
        source = next((value for name, _, value in fields if name == "src"), "")
        destination = next((value for name, _, value in fields if name == "dst"), "")
        yield Flow(words[3], source, destination)


def open_flows(flows: Iterable[Flow], pod_ip: str, gateway: str) -> int:
    """How many of `flows` carry requests. What the node itself sends straight to the pod is not counted: probes end by
    themselves, and the ingress proxy is asked for its own."""
    return sum(
        1
        for flow in flows
        if flow.state in OPEN_STATES and not (flow.source == gateway and flow.destination == pod_ip)
    )


def gone_udp(old: ServiceTable, new: ServiceTable) -> list[Forgotten]:
    """UDP has no end: without help a known flow goes to the old backend for ever, and one that met nobody at a port of
    the node goes on meeting nobody. To an address of a service that nobody serves no flow is remembered."""
    now = {
        _place(port): {backend.address for backend in port.backends}
        for port in new.ways
        if port.protocol == "udp"
    }
    before = {_place(port) for port in old.ways if port.backends}
    gone = [
        Forgotten(port.address, port.port, backend.address)
        for port in old.ways
        if port.protocol == "udp"
        for backend in port.backends
        if backend.address not in now.get(_place(port), ())
    ]
    first = [
        Forgotten(port.address, port.port, "")
        for port in new.outside
        if port.protocol == "udp" and port.backends and _place(port) not in before
    ]
    return gone + first


def forget(each: Forgotten) -> None:
    command = ["conntrack", "-D", "-p", "udp", "--orig-port-dst", str(each.port)]
    command += ["--orig-dst", each.address] if each.address else []
    command += ["--reply-src", each.backend] if each.backend else []
    _delete(command)


def forget_pod(address: str) -> None:
    """All flows to and from a pod that is gone: the next one with its address must get none of them."""
    for side in ("--reply-src", "--orig-src"):
        _delete(["conntrack", "-D", side, address])


def _delete(command: Sequence[str]) -> None:
    try:
        run(command)
    except Unavailable as error:
        if NOTHING_FOUND not in str(error):  # conntrack calls that a failure.
            raise


def _place(port: ServicePort | OutsidePort) -> tuple[str, str, int]:
    return port.protocol, port.address, port.port
