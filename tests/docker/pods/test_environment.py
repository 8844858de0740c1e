"""A table: where the environment of a container comes from, and what of the host and of its pod it is shown."""

import asyncio
from pathlib import Path
from typing import Any, cast

from gitops.kinds.core.pod import Pod
from gitops.kinds.core.service import Service
from tests.docker.pods.conftest import Host
from tests.docker.pods.inside import FOREVER, Play, container, status_of
from tests.docker.pods.rows import Row, app, differing


def config(name: str, *, optional: bool = False, prefix: str = "") -> dict[str, Any]:
    return {"prefix": prefix, "configMapRef": {"name": name, "optional": optional}}


def key(name: str, of: str, *, optional: bool = False) -> dict[str, Any]:
    return {"valueFrom": {"configMapKeyRef": {"name": of, "key": name, "optional": optional}}}


def field(path: str) -> dict[str, Any]:
    return {"valueFrom": {"fieldRef": {"fieldPath": path}}}


def env(**sources: Any) -> list[dict[str, Any]]:
    """Texts are values."""
    return [
        {"name": name, **({"value": source} if isinstance(source, str) else source)}
        for name, source in sources.items()
    ]


def a_service(namespace: str, name: str, address: str) -> Service:
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}, {"name": "more", "port": 81, "protocol": "UDP"}]
    meta = {"namespace": namespace, "name": name}
    spec = {"type": "ClusterIP", "clusterIP": address, "ports": ports}
    return cast(Service, {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})


def why_waiting(pod: Pod) -> str:
    waiting = status_of(pod)["state"].get("waiting", {})
    return f"{waiting.get('reason')}: {waiting.get('message')}"


def is_refused(pod: Pod) -> bool:
    return "containerStatuses" in pod.get("status", {}) and why_waiting(pod).startswith(
        "CreateContainerConfig"
    )


LINKS = (
    *("WEB_1_SERVICE_HOST", "WEB_1_SERVICE_PORT", "WEB_1_SERVICE_PORT_MORE", "WEB_1_PORT"),
    *("WEB_1_PORT_81_UDP", "KUBERNETES_SERVICE_HOST"),
)
SHOW_LINKS = "; ".join(f"echo ${name}" for name in LINKS)

ROWS = {
    "later sources win, and names are prefixed": Row(
        app(envFrom=[config("one"), config("two"), config("two", prefix="P_")], env=env(third="own")),
        "echo $first $second $third $P_second",
        "1 two own two",
    ),
    "only earlier names are expanded, and two dollars are one": Row(
        app(env=env(A="a", B="$(A)$(C)$$(A)", C="c", D="$(B)!")),
        'echo "$B $D"',
        "a$(C)$(A) a$(C)$(A)!",
    ),
    "commands and arguments are expanded": Row(
        {
            "containers": [
                {
                    **container("app", "", env=env(FILE="/tmp/made", TIMES="9")),
                    "command": ["sh", "-c", "echo $0 > $(FILE); exec sleep 99$(TIMES)"],
                    "args": ["$(TIMES) $(NONE)"],
                }
            ]
        },
        "while ! test -s /tmp/made; do sleep 0.1; done; cat /tmp/made",
        "9 $(NONE)",
    ),
    "what is optional may be absent": Row(
        app(
            envFrom=[config("absent", optional=True)],
            env=env(A=key("no", "one", optional=True), B=key("no", "absent", optional=True)),
        ),
        'echo "[$A$B]"',
        "[]",
    ),
    "a required ConfigMap that is absent is waited for": Row(
        app(envFrom=[config("absent")]),
        until=is_refused,
        status=why_waiting,
        told='CreateContainerConfigError: configmap "absent" not found',
    ),
    "a required key that is absent is waited for": Row(
        app(env=env(A=key("no", "one"))),
        until=is_refused,
        status=why_waiting,
        told="CreateContainerConfigError: couldn't find key no in ConfigMap shop/one",
    ),
    "fields of the pod": Row(
        app(
            env=env(
                A=field("metadata.namespace"),
                B=field("metadata.labels['app']"),
                C=field("spec.nodeName"),
                D=field("status.hostIP"),
                E=field("spec.serviceAccountName"),
            )
        ),
        "echo $A $B $C $D $E",
        "shop row-6 n1 192.0.2.1 default",
    ),
    "links of the services of its namespace": Row(
        app(), SHOW_LINKS, "10.78.0.20\n80\n81\ntcp://10.78.0.20:80\nudp://10.78.0.20:81\n10.78.0.1"
    ),
    "no links, but for the API's": Row({**app(), "enableServiceLinks": False}, SHOW_LINKS, "10.78.0.1"),
    "a resolver of its own": Row(
        {
            **app(),
            "dnsPolicy": "None",
            "dnsConfig": {"nameservers": ["192.0.2.9"], "options": [{"name": "ndots", "value": "2"}]},
        },
        "cat /etc/resolv.conf",
        "nameserver 192.0.2.9\noptions ndots:2",
    ),
    "who wants nothing is killed first": Row(app(), "cat /proc/1/oom_score_adj", "1000"),
    "who wants a quarter of the memory is killed later": Row(
        app(resources={"requests": {"memory": "1Gi"}}), "cat /proc/1/oom_score_adj", "750"
    ),
    "the host's IPC": Row(
        {**app(), "hostIPC": True}, "readlink /proc/self/ns/ipc", str(Path("/proc/self/ns/ipc").readlink())
    ),
}


def test_what_a_container_is_told(play: Play) -> None:
    async def scenario(host: Host) -> None:
        for name, values in {"one": {"first": "1", "second": "one"}, "two": {"second": "two"}}.items():
            await host.api.put_object({"kind": "ConfigMap", "metadata": {"name": name}, "data": values})
        async with host.agent() as node:
            node.services += [
                a_service("shop", "web-1", "10.78.0.20"),
                a_service("default", "kubernetes", "10.78.0.1"),
                a_service("other", "hidden", "10.78.0.30"),
            ]

            assert await differing(host, node, ROWS) == {}

    play(scenario)


def test_sidecars_start_first_in_order_and_end_last_in_the_opposite_order(play: Play) -> None:
    async def scenario(host: Host) -> None:
        def logging(name: str, **more: Any) -> dict[str, Any]:
            script = f"trap 'echo -{name} >> /out/log; exit 0' TERM; echo +{name} >> /out/log; {FOREVER}"
            mounts = [{"name": "out", "mountPath": "/out"}]
            return {**container(name, ""), "command": ["sh", "-c", script], "volumeMounts": mounts, **more}

        sidecar = {
            "restartPolicy": "Always",
            "startupProbe": {"exec": {"command": ["test", "-s", "/out/log"]}},
        }
        out = [{"name": "out", "hostPath": {"path": str(host.home / "out"), "type": "DirectoryOrCreate"}}]
        row = Row(
            {
                "initContainers": [logging("one", **sidecar), logging("two", **sidecar)],
                "containers": [logging("app")],
                "volumes": out,
            },
        )
        async with host.agent() as node:
            assert await differing(host, node, {"": row}) == {}
            async with asyncio.timeout(10):
                while "+app" not in (host.home / "out" / "log").read_text():
                    await asyncio.sleep(0.05)
            host.api.ask_delete("uid-row-0")
            await node.until_gone("uid-row-0")

        assert (host.home / "out" / "log").read_text().split() == [
            "+one",
            "+two",
            "+app",
            "-app",
            "-two",
            "-one",
        ]

    play(scenario)
