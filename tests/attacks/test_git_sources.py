"""Hostile repositories and servers: nothing outside the mirror is read or written, and no command of theirs runs.

Classes: ways out of a checkout by links and `..`; `.git` entries, submodules, hooks, filters; option and URL injection.
"""

import asyncio
import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic

import pytest

from gitops.kinds.errors import BadRequest, GitwardError, Unavailable
from gitops.sync import source as source_module
from gitops.sync.access import Access
from gitops.sync.source import Mirror, Source
from tests.integration.sync.repository import Followed, Repository, config_map, following

LINKS = {
    "an absolute file": "/etc/passwd",
    "the repository's own configuration": ".git/config",
    "above the repository": "../../../../etc/shadow",
    "a sibling": "../other/secret.yaml",
    "the environment of a process": "/proc/self/environ",
}


@pytest.mark.parametrize("target", LINKS.values(), ids=LINKS.keys())
def test_a_link_is_refused_with_its_path_and_never_followed(tmp_path: Path, target: str) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "secret.yaml").write_text("canary-6")
    repository = Repository(tmp_path / "repo")
    (repository.folder / "apps").mkdir()
    (repository.folder / "apps" / "x.yaml").symlink_to(target)
    repository.commit({"a.yaml": config_map("a")})

    async def story(followed: Followed) -> None:
        assert not (await followed.look()).declared
        assert followed.lines == [
            "apps/x.yaml:1: a symbolic link: links are never followed; put the file itself here"
        ]

    following(tmp_path, str(repository.folder), story)


def test_a_folder_that_is_a_link_is_not_walked(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "b.yaml").write_text(config_map("canary-6"))
    repository = Repository(tmp_path / "repo")
    (repository.folder / "apps").symlink_to(tmp_path / "other")
    repository.commit({"a.yaml": config_map("a")})

    async def story(followed: Followed) -> None:
        assert (await followed.look()).declared
        assert followed.states() == {"a": "declared"}

    following(tmp_path, str(repository.folder), story)


def test_an_app_path_that_is_a_link_is_refused(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    (repository.folder / "apps").symlink_to("/etc")
    repository.commit({"a.yaml": config_map("a")})

    async def story(followed: Followed) -> None:
        assert not (await followed.look()).declared
        assert followed.lines[0].startswith("apps:1: a symbolic link")

    following(tmp_path, str(repository.folder), story, path="apps")


def raw_tree(repository: Repository, *entries: tuple[str, str, str]) -> str:
    """A commit whose tree git itself would not make: (mode, name, object id) as they are."""
    body = b"".join(
        f"{mode} {name}\0".encode() + bytes.fromhex(object_id) for mode, name, object_id in entries
    )
    tree = repository.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=body)
    commit = repository.git("commit-tree", tree, "-m", "crafted")
    repository.git("update-ref", "refs/heads/main", commit)
    return commit


CRAFTED = {
    "a .git folder": (".git", "40000"),
    "dot dot": ("..", "40000"),
    "a slash in a name": ("x/../../y.yaml", "100644"),
    "a .git file": (".git", "100644"),
    "gitmodules as a link": (".gitmodules", "120000"),
}


@pytest.mark.parametrize("case", CRAFTED.values(), ids=CRAFTED.keys())
def test_a_crafted_tree_is_refused_and_nothing_outside_the_mirror_changes(
    tmp_path: Path, case: tuple[str, str]
) -> None:
    name, mode = case
    repository = Repository(tmp_path / "repo")
    repository.commit({"hooks/post-checkout": "#!/bin/sh\ntouch /tmp/never\n", "a.yaml": config_map("a")})
    blob = repository.git("rev-parse", "HEAD:a.yaml")
    tree = repository.git("rev-parse", "HEAD^{tree}")
    mirror = Mirror(tmp_path / "data", Source("shop", str(repository.folder)), Access())
    good = mirror.fetch()
    raw_tree(repository, (mode, name, tree if mode == "40000" else blob))
    before = snapshot(tmp_path, tmp_path / "data")

    with pytest.raises(Unavailable, match="cannot fetch"):
        mirror.fetch()

    assert snapshot(tmp_path, tmp_path / "data") == before
    assert [entry.path for entry in mirror.ls_tree(good)] == ["a.yaml", "hooks/post-checkout"]


def snapshot(root: Path, mirror: Path) -> dict[str, str]:
    """Every file below `root` but the mirror's."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink() and mirror not in path.parents
    }


def test_submodules_hooks_filters_and_configuration_of_a_repository_do_nothing(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    repository = Repository(tmp_path / "repo")
    repository.commit({"a.yaml": config_map("a")})
    head = repository.git("rev-parse", "HEAD")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{head},sub")
    (repository.folder / ".gitmodules").write_text(
        f'[submodule "sub"]\n\tpath = sub\n\turl = ext::sh -c "touch {trap}"\n'
    )
    (repository.folder / ".gitattributes").write_text("*.yaml filter=evil diff=evil\n")
    repository.git("add", ".gitmodules", ".gitattributes")
    repository.git("commit", "--quiet", "-m", "a submodule")
    for name in ("post-upload-pack", "reference-transaction", "post-checkout", "post-merge", "pre-auto-gc"):
        hook = repository.folder / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {trap}\n")
        hook.chmod(0o755)
    repository.git("config", "core.fsmonitor", f"touch {trap}")
    repository.git("config", "filter.evil.smudge", f"touch {trap}")
    repository.git("config", "uploadpack.packObjectsHook", f"touch {trap}")

    async def story(followed: Followed) -> None:
        assert (await followed.look()).declared
        assert followed.source().get("status", {}).get("warnings") == [
            "sub:1: a submodule: what is in it is not read"
        ]

    following(tmp_path, str(repository.folder), story)

    assert not trap.exists()


def test_the_environment_of_whoever_started_us_does_not_reach_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Repository(tmp_path / "repo")
    commit = repository.commit({"a.yaml": config_map("a")})
    trap = tmp_path / "trap"
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", f"touch {trap}")
    monkeypatch.setenv("GIT_TRACE", str(trap))
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'core.hooksPath=/nowhere'")

    assert Mirror(tmp_path / "data", Source("shop", str(repository.folder)), Access()).fetch() == commit
    assert not trap.exists()


@pytest.mark.parametrize(
    "url",
    [
        "--upload-pack=touch {trap}",
        "ext::sh -c 'touch {trap}'",
        "-c core.x=y",
        "ssh://-oProxyCommand=touch${IFS}{trap}/x",
    ],
)
def test_a_url_that_is_an_option_or_a_command_is_refused_before_git_runs(tmp_path: Path, url: str) -> None:
    trap = tmp_path / "trap"

    with pytest.raises(BadRequest):
        Mirror(tmp_path / "data", Source("shop", url.replace("{trap}", str(trap))), Access()).fetch()

    assert not trap.exists()
    assert not (tmp_path / "data").exists()


@contextmanager
def server(answer: bytes, *, hold: bool = False) -> Iterator[tuple[int, list[bytes]]]:
    """Answers every connection with the same bytes; `hold`: and then says nothing more."""
    heard: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                heard.append(connection.recv(65_536))
                connection.sendall(answer)
                held.append(connection)
                if not hold:
                    connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], heard
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in held:
            connection.close()
        thread.join(5)


def test_credentials_do_not_follow_a_redirect_to_another_host(tmp_path: Path) -> None:
    with server(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n") as (thief_port, stolen):
        redirect = (
            f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{thief_port}/x\r\nContent-Length: 0\r\n\r\n"
        )
        with server(redirect.encode()) as (port, heard):
            file = tmp_path / "credentials"
            file.write_text(f"http://me:canary-8@127.0.0.1:{port}\n")
            access = Access(credentials_file=file)
            mirror = Mirror(tmp_path / "data", Source("shop", f"http://127.0.0.1:{port}/x.git"), access)

            with pytest.raises(Unavailable) as raised:
                mirror.fetch()

    assert b"Authorization: Basic" in heard[0]
    assert stolen == []
    assert "canary" not in str(raised.value)


def test_a_server_that_goes_silent_is_given_up_and_costs_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        source_module, "FETCH_SECONDS_MAX", 1.0
    )  # A bound of ours, made short: nothing is replaced.
    before = git_children()
    header = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n\r\n0000"
    with server(header, hold=True) as (port, _):
        mirror = Mirror(tmp_path / "data", Source("shop", f"http://127.0.0.1:{port}/x.git"), Access())

        with pytest.raises(Unavailable, match="no answer in time"):
            mirror.fetch()

    assert git_children() == before


def test_a_server_that_trickles_does_not_keep_the_master_from_ending(tmp_path: Path) -> None:
    header = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n\r\n0000"
    before = git_children()
    with server(header, hold=True) as (port, heard):
        began = monotonic()

        async def story(followed: Followed) -> None:
            looking = asyncio.create_task(followed.look())
            while not heard:
                await asyncio.sleep(0.01)
            assert not looking.done()
            looking.cancel()

        following(tmp_path, f"http://127.0.0.1:{port}/x.git", story)

        assert monotonic() - began < 10
    assert git_children() == before


def test_a_server_that_trickles_when_a_commit_is_asked_for_does_not_keep_the_master_from_ending(
    tmp_path: Path,
) -> None:
    """Symptom: a `gitward diff` of a branch held up SIGTERM for as long as its fetch took; and when whoever asked had
    left, the next question fetched to the same place at the same time."""
    header = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n\r\n0000"
    before = git_children()
    with server(header, hold=True) as (port, heard):
        began = monotonic()

        async def story(followed: Followed) -> None:
            asking = asyncio.create_task(followed.syncer.stated_at("shop", "feature"))
            while not heard:
                await asyncio.sleep(0.01)
            asking.cancel()
            await asyncio.wait((asking,))
            assert followed.syncer._asking.locked()

        following(tmp_path, f"http://127.0.0.1:{port}/x.git", story)

        assert monotonic() - began < 20
    assert git_children() == before


def test_many_servers_that_go_silent_do_not_stop_another_source(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit({"a.yaml": config_map("a")})
    header = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n\r\n0000"
    with server(header, hold=True) as (port, _):

        async def story(followed: Followed) -> None:
            for number in range(12):
                await followed.follow(f"silent-{number}", url=f"http://127.0.0.1:{port}/{number}.git")
                followed.syncer.hint(f"silent-{number}")
            await asyncio.sleep(0.1)
            assert (await followed.look()).declared

        following(tmp_path, str(repository.folder), story)


def git_children() -> list[str]:
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [pid for pid in children if Path(f"/proc/{pid}/comm").read_text().startswith("git")]


@pytest.mark.parametrize("noise", [b"", b"\0" * 1_000, b"HTTP/1.1 200 OK\r\n\r\n<html>", b"SSH-2.0-x\r\n"])
def test_a_server_that_speaks_nonsense_is_an_error_of_its_source(tmp_path: Path, noise: bytes) -> None:
    with server(noise) as (port, _):
        mirror = Mirror(tmp_path / "data", Source("shop", f"http://127.0.0.1:{port}/x.git"), Access())

        with pytest.raises(GitwardError, match="source shop: http://127"):
            mirror.fetch()


def test_names_that_would_move_a_terminal_are_shown_escaped(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    repository.commit({"\x1b[2J\n.yaml": "a: ["})

    async def story(followed: Followed) -> None:
        await followed.look()
        assert followed.lines[0].startswith("\\x1b[2J\\x0a.yaml:1: ")

    following(tmp_path, str(repository.folder), story)


def test_a_repository_with_very_many_files_is_refused_in_one_line(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    blob = repository.git("hash-object", "-w", "--stdin", stdin=b"a: 1\n")
    index = "".join(f"100644 {blob}\t{number // 1000}/{number}.yaml\n" for number in range(100_001))
    repository.git("update-index", "--add", "--index-info", stdin=index.encode())
    repository.git("commit", "--quiet", "-m", "many")

    async def story(followed: Followed) -> None:
        assert not (await followed.look()).declared
        assert followed.lines[0].endswith("100001 files, at most 100000 are read")

    following(tmp_path, str(repository.folder), story)
