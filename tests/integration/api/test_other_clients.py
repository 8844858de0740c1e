"""WebSockets of clients other than kubectl: the older protocols of exec, ports by channels, logs in messages."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp

from gitops.client import load_kubeconfig
from gitops.kinds.core.pod import POD
from tests.integration.api.agents import answering
from tests.integration.api.builders import a_pod
from tests.integration.api.pods_of import a_running_pod
from tests.integration.api.served import Served
from tests.integration.api.test_kubectl_exec import listening

R = TypeVar("R")
Socket = aiohttp.ClientWebSocketResponse
POD_PATH = "/api/v1/namespaces/shop/pods/web"


def talk(api: Served, path: str, protocols: tuple[str, ...], say: Callable[[Socket], Awaitable[R]]) -> R:
    """What comes of a conversation over one WebSocket."""

    async def conversation() -> R:
        tls = load_kubeconfig(api.config_of()).tls()
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(api.url + POD_PATH + path, ssl=tls, protocols=protocols) as socket,
        ):
            return await say(socket)

    return api.run(conversation())


async def everything(socket: Socket) -> list[bytes | str]:
    """All messages to the end, empty ones left out."""
    return [message.data async for message in socket if message.data not in (b"\x01", "1")]


def test_python_writes_text_and_reads_a_status(api: Served) -> None:
    async def say(socket: Socket) -> list[bytes | str]:
        assert socket.protocol == "v4.channel.k8s.io"
        await socket.send_str("\x00hello")
        message = await socket.receive()
        heard = [message.data if message.data != b"\x01" else (await socket.receive()).data]
        await socket.close()
        return heard

    with a_running_pod(api):
        told = talk(api, "/exec?command=cat&stdin=true&stdout=1&tty=false", ("v4.channel.k8s.io",), say)

    assert told == [b"\x01hello"]


def test_the_first_protocol_ends_with_text_or_silence(api: Served) -> None:
    with a_running_pod(api):
        failed = talk(api, "/exec?command=fail&command=3&stdout=1&stderr=1", ("channel.k8s.io",), everything)
        fine = talk(api, "/exec?command=fail&command=0&stdout=1", ("base64.channel.k8s.io",), everything)

    assert failed == [
        b"\x01to out\n",
        b"\x02to err\n",
        b"\x03command terminated with non-zero exit code: exit status 3",
    ]
    assert fine[0] == "1dG8gb3V0Cg=="
    assert not any(str(message).startswith("3") for message in fine)


def test_ports_by_channels(api: Served) -> None:
    async def say(socket: Socket) -> list[bytes]:
        return [await socket.receive_bytes() for _ in range(5)]

    with a_running_pod(api) as pod, listening() as port:
        pod.ports[80] = port
        told = talk(api, "/portforward?ports=80,81", ("v4.channel.k8s.io",), say)

    assert sorted(told[:4]) == [b"\x00P\x00", b"\x01P\x00", b"\x02Q\x00", b"\x03Q\x00"]
    assert told[4].startswith(b"\x03error forwarding port 81 to pod web")
    assert told[4].endswith(b"Connection refused")


def test_whoever_follows_a_silent_log_is_answered_before_its_first_line(api: Served) -> None:
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    pod = a_pod("web", node="n1", ready=True)
    api.create({**pod, "metadata": {**pod["metadata"], "namespace": "shop"}})

    with answering(api, "n1", {"main": []}) as node:

        async def say(socket: Socket) -> bytes:
            node.say("at last")
            return await socket.receive_bytes()

        told = talk(api, "/log?follow=true", ("binary.k8s.io",), say)
        node.wait_until_left()

    assert told == b"at last"


def test_a_log_in_messages(api: Served) -> None:
    with a_running_pod(api) as pod:
        uid = api.found(POD, "shop", "web")["metadata"]["uid"]
        pod.runtime.output[f"{uid}-app-0"] = b"one\ntwo\n"  # type: ignore[attr-defined] # The fake's.
        binary = talk(api, "/log", ("binary.k8s.io",), everything)
        text = talk(api, "/log?tailLines=1", ("base64.binary.k8s.io",), everything)

    assert b"".join(part for part in binary if isinstance(part, bytes)) == b"one\ntwo\n"
    assert text == ["dHdvCg=="]
