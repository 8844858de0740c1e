"""Sources that an object states: where they do not connect, what their pods may not ask for, and where none is read."""

import ctypes
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitops.kinds.apps import DEPLOYMENT
from gitops.kinds.core.config import CONFIG_MAP
from gitops.kinds.core.pod import POD
from gitops.kinds.core.pod_security import Level
from gitops.kinds.errors import Forbidden
from gitops.kinds.gitward import GIT_SOURCE
from gitops.kinds.objects import with_meta
from gitops.sync.access import Access, environment_for
from gitops.sync.git import run
from gitops.sync.reach import Pin
from tests.attacks.test_git_sources import server
from tests.integration.master.whole import Site, Whole, config_map, manifest
from tests.integration.sync.repository import Followed, Repository, following
from tests.integration.sync.servers import bare, http_server, make_tls, ssh_server

THIS_HOST = ("127.0.0.1", "127.1", "2130706433", "0x7f000001", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]")


@pytest.mark.parametrize("host", THIS_HOST)
@pytest.mark.parametrize("form", ["https://{}:{}/x.git", "ssh://git@{}:{}/x.git"])
def test_nothing_of_this_host_is_asked(tmp_path: Path, host: str, form: str) -> None:
    with server(b"SSH-2.0-canary\r\n") as (port, heard):

        async def story(followed: Followed) -> None:
            await followed.look()
            (line,) = followed.lines
            assert "a source that an object states may not reach it" in line
            assert "--allow-source-network" in line

        url = form.format(host, port)
        following(tmp_path, url, story, declared_by_an_object=True, networks=())
    assert heard == []


def test_a_cloud_is_not_asked_for_its_keys(tmp_path: Path) -> None:
    async def story(followed: Followed) -> None:
        await followed.look()
        (line,) = followed.lines
        assert "169.254.169.254 is 169.254.169.254, a link-local address" in line

    url = "https://169.254.169.254/latest/meta-data/iam.git"
    following(tmp_path, url, story, declared_by_an_object=True, networks=())


def test_the_operators_own_source_may_be_on_this_host(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "work")
    repository.commit({"a.yaml": config_map("a")})
    bare(repository, tmp_path / "served", "shop.git")
    with http_server(tmp_path / "served") as served:

        async def story(followed: Followed) -> None:
            assert (await followed.look()).problems == ()

        following(tmp_path, f"{served.url}/shop.git", story, networks=())


def asked(url: str, access: Access, pin: Pin, home: Path) -> Any:
    home.mkdir(exist_ok=True)
    environment = environment_for(url, access, home, pin)
    return run(
        ("ls-remote", "--end-of-options", url), environment=environment, timeout_seconds=30, what="test"
    )


def test_git_is_bound_to_the_address_that_was_judged_over_https(tmp_path: Path) -> None:
    """A name that meant something else a moment later (here: nothing at all) changes nothing."""
    repository = Repository(tmp_path / "work")
    commit = repository.commit({"a.yaml": config_map("a")})
    bare(repository, tmp_path / "served", "shop.git")
    tls = make_tls(tmp_path / "tls")
    with http_server(tmp_path / "served", tls=tls) as served:
        port = int(served.url.rpartition(":")[2])
        access = Access(trusted=False, ca_file=tls / "cert.pem")
        pin = Pin("git.example.invalid", port, ("127.0.0.1",), is_https=True)

        output = asked(f"https://git.example.invalid:{port}/shop.git", access, pin, tmp_path / "home")

    assert output.stdout.decode().startswith(commit)


def test_git_is_bound_to_the_address_that_was_judged_over_ssh(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "work")
    commit = repository.commit({"a.yaml": config_map("a")})
    bare(repository, tmp_path / "served", "shop.git")
    with ssh_server(tmp_path / "sshd", tmp_path / "served") as served:
        user, _, rest = served.url.removeprefix("ssh://").partition("@127.0.0.1:")
        port = int(rest.partition("/")[0])
        hosts = tmp_path / "hosts"
        hosts.write_text(served.known_hosts.read_text().replace("127.0.0.1", "git.example.invalid"))
        access = Access(trusted=False, ssh_key_file=served.key_file, known_hosts_file=hosts)
        pin = Pin("git.example.invalid", port, ("127.0.0.1",), is_https=False)

        url = f"ssh://{user}@git.example.invalid:{rest}/shop.git"
        output = asked(url, access, pin, tmp_path / "home")

    assert output.stdout.decode().startswith(commit), output.stderr


ASKS_FOR_MUCH: dict[str, str] = {
    "a privileged container": "containers: [{name: a, image: x, securityContext: {privileged: true}}]",
    "a privileged init container": (
        "initContainers: [{name: i, image: x, securityContext: {privileged: true}}]\n  "
        "containers: [{name: a, image: x}]"
    ),
    "the host's files": ("volumes: [{name: root, hostPath: {path: /}}]\n  containers: [{name: a, image: x}]"),
    "the host's network": "hostNetwork: true\n  containers: [{name: a, image: x}]",
    "the host's processes": "hostPID: true\n  containers: [{name: a, image: x}]",
    "a capability": (
        "containers: [{name: a, image: x, securityContext: {capabilities: {add: [SYS_ADMIN]}}}]"
    ),
    "a port of the host": "containers: [{name: a, image: x, ports: [{containerPort: 80, hostPort: 80}]}]",
}
LABELS = "matchLabels: {a: b}"


def a_pod(spec: str, name: str = "much") -> str:
    return f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: default}}\nspec:\n  {spec}\n"


def a_workload(spec: str) -> str:
    body = spec.replace("\n  ", "\n      ")
    return (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: much, namespace: default}\nspec:\n"
        f"  selector: {{{LABELS}}}\n  template:\n    metadata: {{labels: {{a: b}}}}\n    spec:\n      {body}\n"
    )


@contextmanager
def their_source(site: Site, files: dict[str, str | None]) -> Iterator[dict[str, str | None]]:
    """A repository of somebody else's over https; manifests of the GitSource and of the Secret that it needs."""
    repository = Repository(site.folder / "theirs")
    repository.commit(files)
    bare(repository, site.folder / "served", "theirs.git")
    tls = make_tls(site.folder / "tls")
    with http_server(site.folder / "served", tls=tls) as served:
        certificate = "".join(f"    {line}\n" for line in (tls / "cert.pem").read_text().splitlines())
        secret = (
            f"apiVersion: v1\nkind: Secret\nmetadata: {{name: git}}\nstringData:\n  ca.crt: |\n{certificate}"
        )
        source = (
            f"apiVersion: gitward.io/v1alpha1\nkind: GitSource\nmetadata: {{name: theirs}}\n"
            f"spec: {{url: '{served.url}/theirs.git', secretRef: {{name: git}}}}\n"
        )
        yield {"git.yaml": secret, "source.yaml": source}


def test_pods_of_a_source_in_git_are_held_to_baseline_by_every_road(site: Site) -> None:
    theirs: dict[str, str | None] = {"a.yaml": config_map("harmless")}
    for number, spec in enumerate(ASKS_FOR_MUCH.values()):
        theirs[f"pod-{number}.yaml"] = a_pod(spec, f"much-{number}")
        theirs[f"workload-{number}.yaml"] = a_workload(spec).replace("name: much", f"name: much-{number}")

    async def story(whole: Whole) -> None:
        await whole.goes_live(stated)

        def told() -> list[str]:
            found = whole.store.view().get(GIT_SOURCE, GIT_SOURCE.key("", "theirs"))
            return list((found.get("status") or {}).get("unapplied") or ()) if found else []

        await whole.until(lambda: len(told()) == 2 * len(ASKS_FOR_MUCH))
        await whole.until(lambda: whole.found(CONFIG_MAP, "default", "harmless"))

        for line in told():
            assert 'violates PodSecurity "baseline:latest"' in line
            assert "an object states its source theirs, not the operator" in line
            assert line.startswith(("pod-", "workload-")), line
        assert [name for name in whole.names(POD, "default") if name.startswith("much")] == []
        assert whole.names(DEPLOYMENT, "default") == []

    with their_source(site, theirs) as stated:
        site.run(story)


@pytest.mark.parametrize("spec", ASKS_FOR_MUCH.values(), ids=ASKS_FOR_MUCH.keys())
def test_git_and_the_api_are_judged_alike(site: Site, spec: str) -> None:
    """By the operator's level: what the one road refuses, the other refuses too."""
    site.pod_security = Level.BASELINE

    async def story(whole: Whole) -> None:
        files = {"pod.yaml": a_pod(spec), "workload.yaml": a_workload(spec)}
        whole.repository.commit({**files, "a.yaml": config_map("harmless")})
        await whole.look()
        await whole.until(lambda: len(whole.status().get("unapplied") or ()) == 2)
        for line in whole.status().get("unapplied") or ():
            assert 'violates PodSecurity "baseline:latest"' in line
            assert "(--pod-security baseline)" in line
        for text in files.values():
            obj: Any = with_meta(yaml.safe_load(text), name="by-hand")
            with pytest.raises(Forbidden, match="violates PodSecurity"):
                await whole.admin.create(POD if obj["kind"] == "Pod" else DEPLOYMENT, obj)
        assert whole.names(POD, "default") == []
        assert whole.names(DEPLOYMENT, "default") == []

    site.run(story)


def test_an_ephemeral_container_is_judged_as_any_other(site: Site) -> None:
    """The third road into a pod that runs: its subresource."""
    site.pod_security = Level.BASELINE

    async def story(whole: Whole) -> None:
        await whole.goes_live({"a.yaml": config_map("a")})
        obj: Any = yaml.safe_load(a_pod("containers: [{name: a, image: x}]", "good"))
        await whole.admin.create(POD, obj)
        path = "/api/v1/namespaces/default/pods/good/ephemeralcontainers"
        media = "application/merge-patch+json"
        debug: dict[str, Any] = {"name": "debug", "image": "x"}
        wanted = {**debug, "securityContext": {"privileged": True}}
        body = {"spec": {"ephemeralContainers": [wanted]}}
        with pytest.raises(Forbidden, match=r"container .debug. must not set") as refused:
            await whole.admin.request("PATCH", path, body=body, content_type=media)
        assert "securityContext.privileged=true" in str(refused.value)
        body = {"spec": {"ephemeralContainers": [debug]}}
        await whole.admin.request("PATCH", path, body=body, content_type=media)

    site.run(story)


UNCONFINED = """
import sys
from pathlib import Path
from tests.attacks.test_object_sources import refuse_confinement
refuse_confinement()
from tests.integration.sync.repository import Followed, Repository, config_map, following
repository = Repository(Path(sys.argv[1]) / "work")
repository.commit({"a.yaml": config_map("a")})

async def object_states(followed):
    await followed.look()
    print("object:", *followed.lines, sorted(followed.states()))

async def operator_states(followed):
    await followed.look()
    print("operator:", *followed.lines, sorted(followed.states()))
    print("isolation:", followed.syncer._tools.parser.isolation)

following(Path(sys.argv[1]) / "one", "https://git.example.invalid/x.git", object_states, declared_by_an_object=True)
following(Path(sys.argv[1]) / "two", str(repository.folder), operator_states)
"""


def refuse_confinement() -> None:
    """A kernel that knows neither namespaces, nor another root, nor Landlock, for this process and its children."""
    refused = {"x86_64": (272, 161, 444), "aarch64": (97, 51, 444)}[os.uname().machine]
    program = [(0x20, 0, 0, 0)]
    program += [(0x15, len(refused) - at, 0, number) for at, number in enumerate(refused)]
    program += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x00050000 | 1)]
    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    whole = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    assert libc.prctl(22, 2, whole, 0, 0) == 0


def test_where_nothing_confines_a_source_that_an_object_states_is_not_read(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    done = subprocess.run(
        [sys.executable, "-c", UNCONFINED, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=Path(__file__).parents[2],
    )

    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    assert first.startswith("object: source shop: this host offers neither namespaces nor Landlock: ")
    assert second == "operator: ['a']"
    assert "empty root" not in third
    assert "Landlock" not in third


def test_a_source_stated_by_hand_of_a_secret_value_shows_none(site: Site) -> None:
    """A refusal quotes fields of a pod, never what its variables hold."""
    site.pod_security = Level.BASELINE
    canary = "canaryQ7x9Zr4LmW2tVbN8"
    variable = f"env: [{{name: A, value: {canary}}}]"
    spec = f"containers: [{{name: a, image: x, {variable}, securityContext: {{privileged: true}}}}]"

    async def story(whole: Whole) -> None:
        whole.repository.commit({"pod.yaml": a_pod(spec), "b.yaml": manifest("ConfigMap", "b")})
        await whole.look()
        await whole.until(lambda: whole.status().get("unapplied"))
        assert canary not in repr(whole.status())

    site.run(story)
