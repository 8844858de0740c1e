"""Commits that must be signed: by SSH and GPG keys, over every commit since the last accepted one."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.sync.repository import Followed, Repository, config_map, following
from tests.integration.sync.servers import keygen


class Signed(Repository):
    """Its commits are signed by the key that `sign_with` names last."""

    def sign_with(self, key: Path | str | None, program: str = "ssh") -> None:
        self.git("config", "commit.gpgSign", "false" if key is None else "true")
        self.git("config", "gpg.format", "ssh" if program == "ssh" else "openpgp")
        self.git("config", "user.signingKey", str(key or ""))


@pytest.fixture
def repository(tmp_path: Path) -> Signed:
    return Signed(tmp_path / "repo")


def allowed(tmp_path: Path, name: str, options: str = 'namespaces="git"') -> str:
    """A fresh key `name` and its line for the allowed signers."""
    public = keygen(tmp_path / name)
    return f"{name}@example.com {options} {' '.join(public.split()[:2])}\n"


def test_a_signed_branch_is_followed_and_an_unsigned_commit_is_not(
    tmp_path: Path, repository: Signed
) -> None:
    line = allowed(tmp_path, "ann")
    repository.sign_with(tmp_path / "ann")
    good = repository.commit({"a.yaml": config_map("a")})

    async def story(followed: Followed) -> None:
        assert (await followed.look()).problems == ()
        assert followed.source().get("status", {}).get("commit", {}).get("verified") == good

        repository.sign_with(None)
        bad = repository.commit({"b.yaml": config_map("b")})
        (problem,) = (await followed.look()).problems
        assert problem == f"source shop: commit {bad[:7]} of Ann is not signed"
        assert followed.states() == {"a": "declared"}
        assert followed.source().get("status", {}).get("commit") == dict.fromkeys(
            ("fetched", "verified", "declared"), good
        )
        assert ("CommitRefused", problem, 1) in followed.events()

    following(tmp_path, str(repository.folder), story, verify={"allowedSigners": line})


def test_what_a_commit_states_keeps_the_name_of_its_signer(tmp_path: Path, repository: Signed) -> None:
    """Of the commit that stated it last; a statement that only moves is still the first signer's."""
    lines = allowed(tmp_path, "ann") + allowed(tmp_path, "eve")
    repository.sign_with(tmp_path / "ann")
    repository.commit({"a.yaml": config_map("a"), "b.yaml": config_map("b")})

    async def story(followed: Followed) -> None:
        await followed.look()
        repository.sign_with(tmp_path / "eve")
        second = repository.commit(
            {"a.yaml": None, "moved.yaml": config_map("a"), "b.yaml": config_map("b", "two")}
        )
        await followed.look()

        ann, eve = (
            {"name": f"{name}@example.com", "key": fingerprint(tmp_path / name)} for name in ("ann", "eve")
        )
        assert followed.record("ConfigMap", "a")["claims"][0]["signer"] == ann
        assert followed.record("ConfigMap", "b")["claims"][0]["signer"] == eve
        assert followed.source().get("status", {}).get("signed") == {**eve, "commit": second}

    following(tmp_path, str(repository.folder), story, verify={"allowedSigners": lines})


def test_nobody_is_named_as_signer_where_no_signature_was_asked_for(
    tmp_path: Path, repository: Signed
) -> None:
    allowed(tmp_path, "ann")
    repository.sign_with(tmp_path / "ann")
    repository.commit({"a.yaml": config_map("a")})

    async def story(followed: Followed) -> None:
        assert (await followed.look()).declared
        assert "signer" not in followed.record("ConfigMap", "a")["claims"][0]
        assert "signed" not in followed.source().get("status", {})

    following(tmp_path, str(repository.folder), story)


def test_a_signed_commit_on_top_does_not_hide_an_unsigned_one(tmp_path: Path, repository: Signed) -> None:
    line = allowed(tmp_path, "ann")
    repository.sign_with(tmp_path / "ann")
    repository.commit({"a.yaml": config_map("a")})

    async def story(followed: Followed) -> None:
        await followed.look()
        repository.sign_with(None)
        bad = repository.commit({"b.yaml": config_map("b")})
        repository.sign_with(tmp_path / "ann")
        repository.commit({"c.yaml": config_map("c")})

        (problem,) = (await followed.look()).problems
        assert problem == f"source shop: commit {bad[:7]} of Ann is not signed"

    following(tmp_path, str(repository.folder), story, verify={"allowedSigners": line})


def test_a_key_that_is_valid_but_not_allowed_does_not_do(tmp_path: Path, repository: Signed) -> None:
    line = allowed(tmp_path, "ann")
    allowed(tmp_path, "eve")
    repository.sign_with(tmp_path / "eve")
    commit = repository.commit({"a.yaml": config_map("a")})

    async def story(followed: Followed) -> None:
        (problem,) = (await followed.look()).problems
        assert problem == (
            f"source shop: commit {commit[:7]} of Ann is signed by nobody whom the source allows"
        )
        assert followed.states() == {}

    following(tmp_path, str(repository.folder), story, verify={"allowedSigners": line})


def test_a_key_that_is_allowed_for_something_else_does_not_do(tmp_path: Path, repository: Signed) -> None:
    line = allowed(tmp_path, "ann", 'namespaces="file"')
    repository.sign_with(tmp_path / "ann")
    repository.commit({"a.yaml": config_map("a")})

    async def story(followed: Followed) -> None:
        assert not (await followed.look()).declared

    following(tmp_path, str(repository.folder), story, verify={"allowedSigners": line})


def fingerprint(key: Path) -> str:
    """As ssh-keygen tells it: `SHA256:…`."""
    command = ["ssh-keygen", "-l", "-f", str(key.with_name(f"{key.name}.pub"))]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[1]


@pytest.mark.parametrize("commits", ["all", "firstParent"])
def test_what_a_merge_brings_in_needs_signatures_of_its_own_unless_first_parents_vouch(
    tmp_path: Path, repository: Signed, commits: str
) -> None:
    line = allowed(tmp_path, "ann")
    repository.sign_with(tmp_path / "ann")
    repository.commit({"a.yaml": config_map("a")})

    async def story(followed: Followed) -> None:
        await followed.look()
        repository.git("checkout", "--quiet", "-b", "feature")
        repository.sign_with(None)
        unsigned = repository.commit({"b.yaml": config_map("b")})
        repository.git("checkout", "--quiet", "main")
        repository.sign_with(tmp_path / "ann")
        repository.git("merge", "--quiet", "--no-ff", "-m", "merge", "feature")

        outcome = await followed.look()

        if commits == "all":
            assert outcome.problems == (f"source shop: commit {unsigned[:7]} of Ann is not signed",)
        else:
            assert outcome.problems == ()

    verify = {"allowedSigners": line, "commits": commits}
    following(tmp_path, str(repository.folder), story, branch="main", verify=verify)


def test_a_branch_that_is_moved_back_needs_a_signer(tmp_path: Path, repository: Signed) -> None:
    line = allowed(tmp_path, "ann")
    unsigned = repository.commit({"a.yaml": config_map("a")})
    repository.sign_with(tmp_path / "ann")
    repository.commit({"a.yaml": config_map("a", "two")})

    async def story(followed: Followed) -> None:
        assert (await followed.look()).declared
        repository.git("reset", "--quiet", "--hard", unsigned)

        assert (await followed.look()).problems == (
            f"source shop: commit {unsigned[:7]} of Ann is not signed",
        )
        assert followed.record("ConfigMap", "a")["claims"][0]["object"]["data"] == {"a": "two"}

    following(tmp_path, str(repository.folder), story, verify={"allowedSigners": line})


def test_signers_that_are_asked_for_later_count_from_the_last_declared_commit(
    tmp_path: Path, repository: Signed
) -> None:
    line = allowed(tmp_path, "ann")
    repository.commit({"a.yaml": config_map("a")})
    url = str(repository.folder)

    async def story(followed: Followed) -> None:
        await followed.look()
        repository.sign_with(tmp_path / "ann")
        good = repository.commit({"b.yaml": config_map("b")})
        await followed.follow("shop", url=url, verify={"allowedSigners": line})

        outcome = await followed.look()

        assert (outcome.commit, outcome.problems) == (good, ())

    following(tmp_path, url, story)


def test_the_operators_files_are_read_at_every_look(tmp_path: Path, repository: Signed) -> None:
    file = tmp_path / "signers"
    file.write_text("# nobody yet\n")
    line = allowed(tmp_path, "ann")
    repository.sign_with(tmp_path / "ann")
    repository.commit({"a.yaml": config_map("a")})

    async def story(followed: Followed) -> None:
        assert not (await followed.look()).declared
        file.write_text(line)
        assert (await followed.look()).declared

    following(tmp_path, str(repository.folder), story, files={"allowed_signers_file": file})


def test_a_line_that_is_no_signer_is_told(tmp_path: Path, repository: Signed) -> None:
    repository.commit({"a.yaml": config_map("a")})

    async def story(followed: Followed) -> None:
        (problem,) = (await followed.look()).problems
        assert problem.startswith("allowed signers, line 2: wanted `PRINCIPAL KEYTYPE KEY`")

    verify = {"allowedSigners": "# a\nssh-ed25519\n"}
    following(tmp_path, str(repository.folder), story, verify=verify)


class Gpg:
    """A keyring of the tests' own."""

    def __init__(self, home: Path) -> None:
        home.mkdir(mode=0o700)
        self.home = home

    def run(self, *arguments: str) -> str:
        command = ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "", *arguments]
        environment = {"PATH": os.environ["PATH"], "GNUPGHOME": str(self.home)}
        return subprocess.run(command, check=True, capture_output=True, env=environment).stdout.decode()

    def make(self, name: str) -> str:
        """A fresh key; its public part."""
        self.run("--quick-generate-key", f"{name} <{name}@example.com>", "ed25519", "sign", "never")
        return self.run("--armor", "--export", f"{name}@example.com")


@pytest.fixture
def gpg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gpg]:
    made = Gpg(tmp_path / "gnupg")
    yield made
    subprocess.run(
        ["gpgconf", "--homedir", str(made.home), "--kill", "all"], check=False, capture_output=True
    )


def test_gpg_signatures_count_by_the_primary_key(tmp_path: Path, repository: Signed, gpg: Gpg) -> None:
    public = gpg.make("ann")
    gpg.make("eve")
    signer = tmp_path / "gpg-signer"
    signer.write_text(f'#!/bin/sh\nexec gpg --homedir {gpg.home} "$@"\n')
    signer.chmod(0o700)
    repository.git("config", "gpg.program", str(signer))
    repository.sign_with("ann@example.com", "openpgp")
    good = repository.commit({"a.yaml": config_map("a")})

    async def story(followed: Followed) -> None:
        outcome = await followed.look()
        assert (outcome.commit, outcome.problems) == (good, ())
        listed = gpg.run("--with-colons", "--list-keys", "ann@example.com").splitlines()
        primary = next(line.split(":")[9] for line in listed if line.startswith("fpr:"))
        signer = followed.record("ConfigMap", "a")["claims"][0]["signer"]
        assert signer == {"name": "ann <ann@example.com>", "key": primary}

        repository.sign_with("eve@example.com", "openpgp")
        bad = repository.commit({"b.yaml": config_map("b")})
        (problem,) = (await followed.look()).problems
        assert problem == (
            f"source shop: commit {bad[:7]} of Ann has a signature that cannot be checked: "
            "its key is none that the source allows"
        )

    following(tmp_path, str(repository.folder), story, verify={"gpgKeys": public})


def test_a_gpg_key_that_is_none_is_told(tmp_path: Path, repository: Signed) -> None:
    repository.commit({"a.yaml": config_map("a")})

    async def story(followed: Followed) -> None:
        (problem,) = (await followed.look()).problems
        assert problem.startswith("GPG keys: ")

    following(tmp_path, str(repository.folder), story, verify={"gpgKeys": "no key"})


def test_a_signature_of_another_kind_runs_no_program(tmp_path: Path, repository: Signed) -> None:
    """X.509: git would start gpgsm on what a commit holds."""
    line = allowed(tmp_path, "ann")
    tree = repository.git("write-tree")
    body = (
        f"tree {tree}\nauthor Ann <a@example.com> 1700000000 +0000\ncommitter Ann <a@example.com> 1700000000 +0000\n"
        "gpgsig -----BEGIN SIGNED MESSAGE-----\n x\n -----END SIGNED MESSAGE-----\n\nhello\n"
    )
    commit = repository.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=body.encode())
    repository.git("update-ref", "refs/heads/main", commit)

    async def story(followed: Followed) -> None:
        (problem,) = (await followed.look()).problems
        assert problem.startswith(f"source shop: commit {commit[:7]} of Ann ")

    following(tmp_path, str(repository.folder), story, verify={"allowedSigners": line})
