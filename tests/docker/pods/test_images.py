"""Images from a registry that asks for a password: pull policies, pull secrets, and what is told when they fail."""

import asyncio
import os
import re
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import which
from typing import Any

import orjson
import pytest
from aiohttp import web
from docker.api.client import APIClient

from agent.images import Disk, Images
from agent.pods.credentials import Keyring
from agent.pods.pulls import Pulls
from gitops.kinds.core.pod import Pod, is_ready, pod_status
from tests.agent_world import Node, a_pod
from tests.docker.engine import IMAGE
from tests.docker.pods.conftest import Host
from tests.docker.pods.inside import FOREVER, Play, container, status_of

USER, PASSWORD = "puller", "s3cret"
HTPASSWD = "puller:$2b$05$Lu1/.wRbv3Y9sUUNyG2kge4cKA50mArUMBR/k0ny7lJCO4fdBrwwm\n"
CONFIG = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/images}}}}
http: {{addr: "127.0.0.1:{port}"}}
auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}
"""


class Registry:
    """Debian's docker-registry on loopback, which Docker lets us use without TLS."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        (folder / "htpasswd").write_text(HTPASSWD)
        self._config = folder / "config.yml"
        self._config.write_text(CONFIG.format(folder=folder, port=port))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = ("docker-registry", "serve", str(self._config))
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with (
                suppress(OSError),
                socket.create_connection(("127.0.0.1", int(self.address.rpartition(":")[2]))),
            ):
                return
            time.sleep(0.05)
        raise AssertionError("the registry does not listen")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def secret(self, name: str, password: str = PASSWORD) -> dict[str, Any]:
        login = b64encode(f"{USER}:{password}".encode()).decode()
        config = {"auths": {self.address: {"auth": login}}}
        data = {".dockerconfigjson": b64encode(orjson.dumps(config)).decode()}
        return {
            "kind": "Secret",
            "metadata": {"name": name},
            "type": "kubernetes.io/dockerconfigjson",
            "data": data,
        }


@pytest.fixture(scope="module")
def registry(docker_host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Running, with `shop:1` in it that nobody has locally."""
    if which("docker-registry") is None:
        pytest.skip("not installed: docker-registry")
    registry = Registry(tmp_path_factory.mktemp("registry"))
    registry.start()
    client = APIClient(base_url=docker_host, version="1.41", timeout=60)
    client.tag(IMAGE, f"{registry.address}/shop", "1")
    login = {"username": USER, "password": PASSWORD}
    answers = list(
        client.push(f"{registry.address}/shop", tag="1", auth_config=login, stream=True, decode=True)
    )
    assert not [one for one in answers if "error" in one], answers
    client.remove_image(f"{registry.address}/shop:1")
    client.close()
    yield registry
    registry.stop()


@pytest.fixture
def shop(registry: Registry, docker_host: str) -> Iterator[str]:
    """The image's name; absent before and after."""
    name = f"{registry.address}/shop:1"
    yield name
    client = APIClient(base_url=docker_host, version="1.41", timeout=60)
    for image in client.images(name):
        client.remove_image(name, force=True)
        assert image
    client.close()


def a_puller(name: str, image: str, policy: str, secret: str) -> Pod:
    app = {**container("app", FOREVER), "image": image, "imagePullPolicy": policy}
    return a_pod(name, containers=[app], imagePullSecrets=[{"name": secret}])


def waits_for(reason: str, pod: Pod) -> bool:
    statuses = pod_status(pod).get("containerStatuses", [])
    return bool(statuses) and status_of(pod)["state"].get("waiting", {}).get("reason") == reason


async def waiting(node: Node, uid: str, reason: str) -> str:
    pod = await node.until(uid, lambda pod: waits_for(reason, pod))
    return status_of(pod)["state"]["waiting"].get("message", "")


def told(host: Host, name: str) -> list[tuple[str, str]]:
    return [(reason, message) for pod, reason, message in host.api.events if pod == name]


def test_a_private_image_waits_in_kubernetes_words_until_its_secret_comes(
    play: Play, registry: Registry, shop: str
) -> None:
    async def scenario(host: Host) -> None:
        async with host.agent() as node:
            host.api.put(a_puller("web", shop, "IfNotPresent", "login"))
            assert "no basic auth credentials" in await waiting(node, "uid-web", "ErrImagePull")
            message = await waiting(node, "uid-web", "ImagePullBackOff")
            assert message.startswith(f'Back-off pulling image "{shop}": ErrImagePull: ')

            await host.api.put_object(registry.secret("login"))
            ready = await node.until("uid-web", is_ready)

        events = told(host, "web")
        assert events[0] == ("Pulling", f'Pulling image "{shop}"')
        assert events[1][0] == "Failed"
        assert events[1][1].startswith(f'Failed to pull image "{shop}": ')
        assert events[2:4] == [
            ("Failed", "Error: ErrImagePull"),
            ("BackOff", f'Back-off pulling image "{shop}"'),
        ]
        pulled = next(message for reason, message in events if reason == "Pulled")
        size = r"in \S+ \(\S+ including waiting\)\. Image size: \d{6,} bytes\."
        assert re.fullmatch(rf'Successfully pulled image "{re.escape(shop)}" {size}', pulled), pulled
        image_id = status_of(ready)["imageID"]
        assert re.fullmatch(rf"{re.escape(registry.address)}/shop@sha256:[0-9a-f]{{64}}", image_id)
        assert PASSWORD not in str(host.api.events)

    play(scenario)


def test_a_wrong_password_and_an_unknown_tag_are_told(play: Play, registry: Registry, shop: str) -> None:
    async def scenario(host: Host) -> None:
        await host.api.put_object(registry.secret("wrong", "guess"))
        await host.api.put_object(registry.secret("right"))
        async with host.agent() as node:
            host.api.put(a_puller("web", shop, "IfNotPresent", "wrong"))
            host.api.put(a_puller("tag", f"{registry.address}/shop:none", "IfNotPresent", "right"))
            assert "unauthorized" in await waiting(node, "uid-web", "ErrImagePull")
            await waiting(node, "uid-tag", "ErrImagePull")

    play(scenario)


def test_policies_decide_whether_the_registry_is_asked(play: Play, registry: Registry, shop: str) -> None:
    async def scenario(host: Host) -> None:
        await host.api.put_object(registry.secret("login"))
        async with host.agent() as node:
            host.api.put(a_puller("never", shop, "Never", "login"))
            assert await waiting(node, "uid-never", "ErrImageNeverPull") == (
                f'Container image "{shop}" is not present with pull policy of Never'
            )
            host.api.put(a_puller("first", shop, "IfNotPresent", "login"))
            await node.until("uid-first", is_ready)
            host.api.put(a_puller("second", shop, "IfNotPresent", "login"))
            host.api.put(a_puller("always", shop, "Always", "login"))
            await node.until("uid-second", is_ready)
            await node.until("uid-always", is_ready)
            await node.until("uid-never", is_ready, seconds=40)

            here = ("Pulled", f'Container image "{shop}" already present on machine')
            assert here in told(host, "second")
            assert here in told(host, "never")
            assert ("Pulling", f'Pulling image "{shop}"') in told(host, "first")
            assert ("Pulling", f'Pulling image "{shop}"') in told(host, "always")
            assert "Pulling" not in [reason for reason, _ in told(host, "second")]

            registry.stop()
            try:
                host.api.put(a_puller("again", shop, "Always", "login"))
                host.api.put(a_puller("third", shop, "IfNotPresent", "login"))
                assert "connection refused" in await waiting(node, "uid-again", "ErrImagePull")
                await node.until("uid-third", is_ready)
            finally:
                registry.start()

    play(scenario)


def test_a_name_that_is_none_is_told_and_never_asked_for(play: Play) -> None:
    async def scenario(host: Host) -> None:
        async with host.agent() as node:
            host.api.put(a_puller("web", "Shop:1", "IfNotPresent", "absent"))
            assert await waiting(node, "uid-web", "InvalidImageName") == (
                'Failed to apply default image tag "Shop:1": '
                'couldn\'t parse image name "Shop:1": invalid reference format'
            )
        assert "Pulling" not in [reason for reason, _ in told(host, "web")]

    play(scenario)


def test_the_login_with_the_longest_path_is_tried_first_and_the_others_after_it(
    play: Play, registry: Registry, shop: str
) -> None:
    wrong = registry.secret("wrong", "guess")
    config = {"auths": {f"{registry.address}/shop": {"username": USER, "password": "guess"}}}
    wrong["data"] = {".dockerconfigjson": b64encode(orjson.dumps(config)).decode()}
    right = {
        "kind": "Secret",
        "metadata": {"name": "right"},
        "type": "kubernetes.io/dockercfg",
        "data": {
            ".dockercfg": b64encode(
                orjson.dumps({f"https://{registry.address}/v2/": {"username": USER, "password": PASSWORD}})
            ).decode()
        },
    }

    async def scenario(host: Host) -> None:
        await host.api.put_object(wrong)
        await host.api.put_object(right)
        async with host.agent() as node:
            pod = a_puller("web", shop, "Always", "wrong")
            pod["spec"]["imagePullSecrets"] = [{"name": "wrong"}, {"name": "right"}]
            host.api.put(pod)
            await node.until("uid-web", is_ready)

    play(scenario)


def test_unused_images_that_the_agent_pulled_go_and_no_others(
    play: Play, registry: Registry, shop: str, docker_host: str, tmp_path: Path
) -> None:
    """Two were pulled; a container of nobody's uses one of them. What was loaded by hand stays."""
    client = APIClient(base_url=docker_host, version="1.41", timeout=60)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    other = f"{registry.address}/shop:2"
    made = client.create_container(IMAGE, ["true"])["Id"]
    client.commit(made, f"{registry.address}/shop", "2", changes="LABEL another=image")
    client.remove_container(made)
    login = {"username": USER, "password": PASSWORD}
    assert not [
        one for one in client.push(other, auth_config=login, stream=True, decode=True) if "error" in one
    ]
    client.remove_image(other)
    client.tag(IMAGE, "loaded.example/by-hand", "1")

    async def scenario(host: Host) -> None:
        clock, runtime = [now], await host.runtime()
        images = Images(runtime, tmp_path / "images.json", lambda: Disk(100, 0), frozenset, lambda: clock[0])
        for name in (shop, other):
            images.pulled(name, await runtime.pull(name, login))
        used = client.create_container(other, ["true"])["Id"]
        again = Images(runtime, tmp_path / "images.json", lambda: Disk(100, 0), frozenset, lambda: clock[0])
        try:
            clock[0] = now + timedelta(minutes=5)
            await again.collect(1 << 30)
            assert await runtime.image(shop) is None
            assert await runtime.image(other) is not None
            assert await runtime.image("loaded.example/by-hand:1") is not None
        finally:
            client.remove_container(used)
            client.remove_image("loaded.example/by-hand:1")
        await again.collect(1 << 30)
        assert await runtime.image(other) is None
        await runtime.close()

    play(scenario)
    client.close()


MANIFEST = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
    "config": {
        "mediaType": "application/vnd.docker.container.image.v1+json",
        "size": 1 << 20,
        "digest": f"sha256:{'1' * 64}",
    },
    "layers": [
        {
            "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
            "size": 1 << 20,
            "digest": f"sha256:{'2' * 64}",
        }
    ],
}


class Trickling:
    """A registry that begins an image and never ends it: a byte at a time."""

    def __init__(self) -> None:
        self.asked, self.left = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Its address."""
        app = web.Application()
        app.router.add_get("/v2/", self._version)
        app.router.add_get("/v2/slow/manifests/{tag}", self._manifest)
        app.router.add_get("/v2/slow/blobs/{digest}", self._blob)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({})

    async def _manifest(self, _: web.Request) -> web.Response:
        kind = str(MANIFEST["mediaType"])
        return web.Response(body=orjson.dumps(MANIFEST), headers={"Content-Type": kind})

    async def _blob(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(1 << 20)})
        await response.prepare(request)
        self.asked.set()
        try:
            while True:
                await response.write(b"x")
                await asyncio.sleep(0.05)
        finally:
            self.left.set()


def test_a_pull_that_never_ends_ends_at_the_engine_when_it_is_given_up(
    play: Play,
) -> None:
    """Else a registry, whom any pod may name, takes the threads of the node by which all its pods are looked after."""

    async def scenario(host: Host) -> None:
        registry = Trickling()
        runtime = await host.runtime()
        async with registry.serving() as address:
            pulling = asyncio.create_task(runtime.pull(f"{address}/slow:1", None))
            await asyncio.wait_for(registry.asked.wait(), 20)

            pulling.cancel()
            await asyncio.wait_for(registry.left.wait(), 20)
        await runtime.close()

    play(scenario)


def test_a_helper_of_the_nodes_own_file_knows_the_login(
    play: Play, registry: Registry, shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "docker-credential-shop"
    answer = orjson.dumps({"ServerURL": registry.address, "Username": USER, "Secret": PASSWORD}).decode()
    helper.write_text(f"#!/bin/sh\ntest \"$(cat)\" = {registry.address} && echo '{answer}'\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    config = tmp_path / "config.json"
    config.write_bytes(orjson.dumps({"credHelpers": {registry.address: "shop"}}))

    async def scenario(host: Host) -> None:
        runtime = await host.runtime()
        try:
            pulls = Pulls(runtime, config_file=config)
            assert await runtime.image(shop) is None
            found, _ = await pulls.pull(shop, Keyring(await pulls.node_logins(shop)))
            assert found.digests[0].startswith(f"{registry.address}/shop@sha256:")
        finally:
            await runtime.close()

    play(scenario)
