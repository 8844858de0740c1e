"""A cluster of one service, as the API would tell it, and a node's network that is brought to it."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from agent.proxies import ClusterState, NodeNetwork, NodeNetworkSettings

HTTP, HTTPS = "127.0.0.1:8880", "127.0.0.1:8443"
VIP = "10.78.0.20"


def a_service(**spec: object) -> Any:
    ports = [{"port": 80, "protocol": "TCP", "targetPort": 8080}]
    base = {"type": "ClusterIP", "sessionAffinity": "None", "clusterIP": VIP, "ports": ports}
    meta = {"namespace": "shop", "name": "web"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {**base, **spec}}


def a_slice(*addresses: str) -> Any:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"namespace": "shop", "name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [{"port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [each], "conditions": {"ready": True}} for each in addresses],
    }


def an_ingress(name: str = "web", host: str = "shop.example", path: str = "/", **spec: object) -> Any:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    rule = {"host": host, "http": {"paths": [{"path": path, "pathType": "Prefix", "backend": backend}]}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"namespace": "shop", "name": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"rules": [rule], **spec},
    }


def a_state(
    *addresses: str, ingresses: tuple[Any, ...] | None = None, secrets: tuple[Any, ...] = ()
) -> ClusterState:
    wanted = (an_ingress(),) if ingresses is None else ingresses
    return ClusterState((a_service(),), (a_slice(*addresses),), wanted, secrets)


def http(host: str = "shop.example", path: str = "/", *more: str) -> str:
    command = ("curl", "-s", "-m", "3", "-H", f"Host: {host}", f"http://{HTTP}{path}", *more)
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def https(host: str) -> str:
    resolve = f"{host}:8443:127.0.0.1"
    command = ("curl", "-s", "-k", "-v", "-m", "3", "--resolve", resolve, f"https://{host}:8443/")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    subject = next((line for line in done.stderr.splitlines() if "subject:" in line), "")
    return f"{done.stdout.strip()} {subject.partition('subject: ')[2]}".strip()


@asynccontextmanager
async def running(settings: NodeNetworkSettings) -> AsyncIterator[NodeNetwork]:
    network = NodeNetwork(settings)
    await network.setup()
    try:
        yield network
    finally:
        await network.close()


async def brought(network: NodeNetwork, state: ClusterState) -> None:
    await network.sync(state)
    async with asyncio.timeout(20):
        await network.settled()
