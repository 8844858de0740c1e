"""How a source is reached: tokens, keys, proxies. The operator's means are the operator's sources' alone."""

import base64
import os
from pathlib import Path
from typing import Any, Final

import pytest

from gitops.kinds.sensitive import Sensitive
from tests.integration.sync.repository import Followed, Repository, config_map, following
from tests.integration.sync.servers import bare, http_server, keygen, make_tls, proxy, ssh_server


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    repository = Repository(tmp_path / "work")
    repository.commit({"a.yaml": config_map("a")})
    bare(repository, tmp_path / "served", "shop.git")
    return repository


async def declared(followed: Followed) -> None:
    outcome = await followed.look()
    assert outcome.problems == ()
    assert followed.states() == {"a": "declared"}


def refused(followed: Followed) -> str:
    (line,) = followed.lines
    return line


def test_a_token_of_the_credentials_file_is_sent_to_its_host(tmp_path: Path, repository: Repository) -> None:
    with http_server(tmp_path / "served", user="bot:canary-21") as server:
        host = server.url.removeprefix("http://")
        file = tmp_path / "credentials"
        file.write_text(f"https://bot:other@git.example.com\nhttp://bot:canary-21@{host}\n")

        following(tmp_path, f"{server.url}/shop.git", declared, files={"credentials_file": file})

        assert "" not in server.asked


def test_a_wrong_token_is_told_without_it_and_a_right_one_needs_no_restart(
    tmp_path: Path, repository: Repository
) -> None:
    with http_server(tmp_path / "served", user="bot:canary-22") as server:
        host = server.url.removeprefix("http://")
        file = tmp_path / "credentials"
        file.write_text(f"http://bot:canary-wrong@{host}\n")

        async def story(followed: Followed) -> None:
            await followed.look()
            assert refused(followed).startswith(
                f"source shop: {server.url}/shop.git: the server does not let us in"
            )
            assert "canary" not in refused(followed) + repr(followed.source())
            file.write_text(f"http://bot:canary-22@{host}\n")
            await declared(followed)

        following(tmp_path, f"{server.url}/shop.git", story, files={"credentials_file": file})


def test_a_repository_that_is_not_there_is_told(tmp_path: Path, repository: Repository) -> None:
    with http_server(tmp_path / "served") as server:

        async def story(followed: Followed) -> None:
            await followed.look()
            assert f"{server.url}/none.git" in refused(followed)
            assert "not found" in refused(followed)

        following(tmp_path, f"{server.url}/none.git", story)


def test_a_key_and_the_known_hosts_open_ssh(tmp_path: Path, repository: Repository) -> None:
    with ssh_server(tmp_path / "sshd", tmp_path / "served") as server:
        files = {"ssh_key_file": server.key_file, "known_hosts_file": server.known_hosts}

        following(tmp_path, f"{server.url}/shop.git", declared, files=files)


def test_a_server_with_another_key_than_the_known_one_is_not_trusted(
    tmp_path: Path, repository: Repository
) -> None:
    with ssh_server(tmp_path / "sshd", tmp_path / "served") as server:
        other = keygen(tmp_path / "other")
        hosts = tmp_path / "hosts"
        place = server.known_hosts.read_text().split()[0]
        hosts.write_text(f"{place} {' '.join(other.split()[:2])}\n")

        async def story(followed: Followed) -> None:
            await followed.look()
            assert refused(followed).endswith("the server's key is not in the known hosts; see --known-hosts")

        files = {"ssh_key_file": server.key_file, "known_hosts_file": hosts}
        following(tmp_path, f"{server.url}/shop.git", story, files=files)


def test_a_key_that_the_server_does_not_know_is_told(tmp_path: Path, repository: Repository) -> None:
    with ssh_server(tmp_path / "sshd", tmp_path / "served") as server:
        keygen(tmp_path / "stranger")

        async def story(followed: Followed) -> None:
            await followed.look()
            assert "the server does not let us in" in refused(followed)

        files = {"ssh_key_file": tmp_path / "stranger", "known_hosts_file": server.known_hosts}
        following(tmp_path, f"{server.url}/shop.git", story, files=files)


def test_the_operators_source_goes_through_the_operators_proxy(
    tmp_path: Path, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        http_server(tmp_path / "served") as server,
        proxy(server.url.removeprefix("http://")) as (url, asked),
    ):
        monkeypatch.setenv("http_proxy", url)

        following(tmp_path, "http://git.example.invalid/shop.git", declared)

        assert asked[0].startswith("GET http://git.example.invalid/shop.git/info/refs")


def a_secret(name: str = "git", namespace: str = "default", **values: str) -> Any:
    data = {key: Sensitive(base64.b64encode(value.encode())) for key, value in values.items()}
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data}


def test_an_object_is_followed_over_https_with_the_token_and_the_ca_of_its_secret(
    tmp_path: Path, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = make_tls(tmp_path / "tls")
    with http_server(tmp_path / "served", user="bot:canary-23", tls=tls) as server:
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")  # The operator's, so not for this source.
        line = f"https://bot:canary-23@{server.url.removeprefix('https://')}\n"
        certificate = (tls / "cert.pem").read_text()

        async def story(followed: Followed) -> None:
            await followed.put(a_secret(credentials=line, **{"ca.crt": certificate}))
            await declared(followed)
            assert "canary" not in repr(followed.source())

        following(
            tmp_path,
            f"{server.url}/shop.git",
            story,
            declared_by_an_object=True,
            secretRef={"name": "git"},
        )
        assert "" not in server.asked
    assert list((tmp_path / "data").rglob("*cert*")) == []
    held = [file for file in (tmp_path / "data" / "sources").rglob("*") if file.is_file()]
    assert [file for file in held if b"canary" in file.read_bytes()] == []


def test_an_object_is_followed_over_ssh_with_the_key_and_the_known_hosts_of_its_secret(
    tmp_path: Path, repository: Repository
) -> None:
    with ssh_server(tmp_path / "sshd", tmp_path / "served") as server:
        secret = a_secret(identity=server.key_file.read_text(), known_hosts=server.known_hosts.read_text())

        async def story(followed: Followed) -> None:
            await followed.put(secret)
            await declared(followed)

        url = f"{server.url}/shop.git"
        following(tmp_path, url, story, declared_by_an_object=True, secretRef={"name": "git"})


def test_an_object_gets_nothing_of_the_operators(
    tmp_path: Path, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No ssh configuration, no agent, no credential helper, no proxy, no environment."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    trap = tmp_path / "trap"
    (home / ".ssh" / "config").write_text(f"Host *\n  ProxyCommand touch {trap}\n")
    (home / ".gitconfig").write_text(
        f'[credential]\n\thelper = "!touch {trap}"\n[core]\n\tsshCommand = touch {trap}\n'
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SSH_AUTH_SOCK", "/nowhere")
    with ssh_server(tmp_path / "sshd", tmp_path / "served") as server:

        async def story(followed: Followed) -> None:
            await followed.look()
            assert "known hosts" in refused(followed)

        following(tmp_path, f"{server.url}/shop.git", story, declared_by_an_object=True)
    assert not trap.exists()


WRONG_SECRETS: dict[str, tuple[Any, str]] = {
    "none": (None, "source shop: spec.secretRef: Secret default/git: there is no such secret"),
    "Flux's names": (
        a_secret(username="bot", password="canary-24"),
        "source shop: spec.secretRef: Secret default/git: wanted `credentials`, or `identity` and `known_hosts`, "
        "username, password are not read",
    ),
    "a key without the server's": (
        a_secret(identity="canary-25"),
        "source shop: spec.secretRef: Secret default/git: an `identity` needs the server's key in `known_hosts`",
    ),
}


@pytest.mark.parametrize(("secret", "told"), WRONG_SECRETS.values(), ids=WRONG_SECRETS.keys())
def test_a_secret_that_does_not_do_is_told(tmp_path: Path, secret: Any, told: str) -> None:
    async def story(followed: Followed) -> None:
        if secret is not None:
            await followed.put(secret)
        await followed.look()
        assert followed.lines == [told]

    url = "https://git.example.invalid/x.git"
    following(tmp_path, url, story, declared_by_an_object=True, secretRef={"name": "git"})


REFUSED: Final = {
    "a branch that is none": {"branch": "a..b"},
    "a path that leaves the repository": {"path": "../etc"},
}


@pytest.mark.parametrize("spec", REFUSED.values(), ids=REFUSED.keys())
def test_a_refused_source_leaves_no_key_open(tmp_path: Path, spec: dict[str, Any]) -> None:
    """Symptom: each look at such a source left its key and known hosts open, until the master had no descriptors."""

    async def story(followed: Followed) -> None:
        await followed.put(a_secret(identity="a key", known_hosts="a host"))
        await followed.look()
        before = len([*Path("/proc/self/fd").iterdir()])

        for _ in range(5):
            await followed.look()

        assert len(followed.lines) == 1
        assert len([*Path("/proc/self/fd").iterdir()]) == before

    url = "https://git.example.invalid/x.git"
    following(tmp_path, url, story, declared_by_an_object=True, secretRef={"name": "git"}, **spec)


def test_a_secret_of_another_repository_is_not_lent(tmp_path: Path) -> None:
    def stated_by(source: str, kind: str, name: str, namespace: str = "") -> Any:
        meta = {"name": name, **({"namespace": namespace} if namespace else {})}
        claim = {
            "source": source,
            "app": source,
            "commit": "c",
            "file": "a.yaml",
            "line": 1,
            "state": "declared",
        }
        record_kind = f"{kind}.gitward.io" if kind == "GitSource" else kind
        return {
            "apiVersion": "declared.gitward.io/v1",
            "kind": record_kind,
            "metadata": meta,
            "claims": [claim],
        }

    async def story(followed: Followed) -> None:
        await followed.put(a_secret(credentials="https://bot:canary-26@git.example.invalid\n"))
        await followed.put(stated_by("platform", "Secret", "git", "default"))
        await followed.put(stated_by("team", "GitSource", "shop"))
        await followed.look()
        assert followed.lines == [
            "source shop: spec.secretRef: Secret default/git is not declared by the source team, which declares this "
            "one: a source may use secrets of its own repository only"
        ]

    url = "https://git.example.invalid/x.git"
    following(tmp_path, url, story, declared_by_an_object=True, secretRef={"name": "git"})


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x.git", "file:///srv/x.git", "/srv/x.git"])
def test_an_object_is_reached_by_https_and_ssh_only(tmp_path: Path, url: str) -> None:
    async def story(followed: Followed) -> None:
        await followed.look()
        assert "a source that an object states is reached by https:// or ssh" in refused(followed)
        assert not (tmp_path / "data" / "sources").exists()

    following(tmp_path, url, story, declared_by_an_object=True)


def test_the_operators_name_alone_makes_no_source_the_operators(
    tmp_path: Path, repository: Repository
) -> None:
    """Somebody changed the object's URL: then it is whoever changed it who names the folder."""

    async def story(followed: Followed) -> None:
        await declared(followed)
        await followed.follow("shop", declared_by_an_object=True, url=f"file://{tmp_path}/served/shop.git")
        await followed.look()
        assert "a source that an object states is reached by https:// or ssh" in followed.lines[-1]
        assert followed.states() == {"a": "declared"}

    following(tmp_path, str(repository.folder), story)


def test_no_process_of_a_closed_source_is_left(tmp_path: Path, repository: Repository) -> None:
    before = children()

    following(tmp_path, str(repository.folder), declared)

    assert children() == before


def children() -> set[str]:
    return set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())
