"""A whole master with simulated nodes: ordinary manifests become Ready, and what is wrong is told where people look."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from secrets import token_hex
from shutil import copytree
from typing import Final

from agent.node import NodeSettings, run_node
from agent.reports import ApiReports
from gitops.client import Client
from gitops.kinds.core.event import EVENT
from gitops.kinds.core.node import NODE
from gitops.kinds.core.pod import POD, is_ready
from gitops.kinds.networking import INGRESS
from tests.integration.master.whole import SHOP, Site, Whole, manifest

NODES: Final = ("simulated-1", "simulated-2")


@asynccontextmanager
async def simulated_nodes(whole: Whole) -> AsyncIterator[None]:
    """As `up --node simulated:2` runs them."""

    async def run(name: str) -> None:
        settings = NodeSettings(
            name=name,
            cluster=whole.master.cluster,
            data_dir=whole.data,
            pod_cidr="10.77.0.0/16",
            service_cidr="10.78.0.0/16",
            ingress_http="0.0.0.0:80",
            ingress_https="",
            docker_host="",
            simulated=True,
        )
        async with Client(whole.master.node_credentials(name)) as client:
            await run_node(settings, client)

    tasks = [asyncio.create_task(run(name)) for name in NODES]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def ready_pods(whole: Whole) -> int:
    return sum(1 for pod in whole.store.view().list(POD, "shop") if is_ready(pod))


def test_the_example_shop_becomes_ready_and_its_ingress_has_an_address(site: Site) -> None:
    """An init container that never ended kept its pods Pending for ever."""
    copytree(SHOP, site.repository.folder, dirs_exist_ok=True)
    commit = site.repository.commit(
        {
            "database.yaml": manifest("Secret", "database", "shop", password="hunter2"),
            "prices.yaml": manifest("ConfigMap", "prices", "shop", tea="4"),
        },
        "the shop opens",
    )

    served = {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}}

    async def story(whole: Whole) -> None:
        async with simulated_nodes(whole):
            await whole.is_live(commit)
            await whole.until(lambda: ready_pods(whole) == 12)

            await whole.until(lambda: whole.found(INGRESS, "shop", "shop")["status"] == served)
            assert {pod["spec"].get("nodeName") for pod in whole.store.view().list(POD, "shop")} <= set(NODES)
            await whole.settled()

    site.run(story)


def test_a_warning_about_a_node_or_an_ingress_is_one_event_with_a_count(site: Site) -> None:
    """A node may write events about any object; those of cluster-scoped ones lie in `default`."""
    ingress = """apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: default}
spec:
  defaultBackend: {service: {name: web, port: {number: 80}}}
"""

    async def story(whole: Whole) -> None:
        await whole.goes_live({"ingress.yaml": ingress})
        async with whole.node("n1") as client, asyncio.TaskGroup() as group:
            reports = ApiReports(client, "n1", lambda: datetime.now(UTC), lambda: token_hex(4))
            running = group.create_task(reports.run())
            node, web = whole.found(NODE, "", "n1"), whole.found(INGRESS, "default", "web")
            for _ in range(3):
                reports.event(node, "Warning", "IngressFailed", "ingress: cannot bind to 0.0.0.0:80")
                reports.event(web, "Warning", "NotServed", "Service default/web does not exist")

            def seen() -> list[tuple[str, str, int]]:
                found = whole.store.view().list(EVENT, "default")
                ours = (one for one in found if one.get("reportingInstance") == "n1")
                return sorted(
                    (one["involvedObject"].get("kind", ""), one.get("reason", ""), one.get("count", 0))
                    for one in ours
                )

            await whole.until(lambda: seen() == [("Ingress", "NotServed", 3), ("Node", "IngressFailed", 3)])
            running.cancel()

    site.run(story)
