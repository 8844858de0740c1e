"""Encrypted files that cannot be used: each says why, shows nothing, and what was live stays so."""

import re
from collections.abc import Callable
from typing import Final

import pytest

from gitops.kinds.core.config import SECRET
from gitops.sync.secrets.keys import keygen
from tests.integration.master.whole import Site, Whole, config_map, manifest

PLAIN = manifest("Secret", "db", password="canary-secret", user="app")


def changed_value(sealed: str) -> str:
    """One letter of the first encrypted value is another."""
    at = sealed.index("data:", sealed.index("ENC[")) + 5
    return sealed[:at] + ("B" if sealed[at] == "A" else "A") + sealed[at + 1 :]


def changed_mac(sealed: str) -> str:
    head, mac, tail = sealed.partition("mac: ")
    return head + mac + changed_value(tail)


def swapped_values(sealed: str) -> str:
    """Both values are genuine, but each stands under the other's key."""
    lines = sealed.splitlines()
    at, other = (
        next(n for n, line in enumerate(lines) if line.startswith(f"  {key}: "))
        for key in ("password", "user")
    )
    values = [lines[n].partition(": ")[2] for n in (at, other)]
    lines[at], lines[other] = f"  password: {values[1]}", f"  user: {values[0]}"
    return "\n".join(lines) + "\n"


MOVED = "was changed, or moved here from another place: it does not decrypt"
CHANGED = "the file was changed after it was encrypted: its MAC does not match"
TAMPERED: Final[dict[str, tuple[Callable[[str], str], str]]] = {
    "a value": (changed_value, f"stringData.password {MOVED}"),
    "the MAC": (changed_mac, f"sops.mac {MOVED}"),
    "values in each other's place": (swapped_values, f"stringData.password {MOVED}"),
    "the name": (lambda text: text.replace("name: db", "name: dc"), CHANGED),
    "the namespace": (lambda text: text.replace("namespace: default", "namespace: kube-system"), CHANGED),
    "a label more": (lambda text: text.replace("  name: db", "  labels: {a: b}\n  name: db"), CHANGED),
    "no MAC": (
        lambda text: text.replace("  mac: ", "  # mac: "),
        "sops.mac is missing: whether the file was changed cannot be told, so it is refused",
    ),
    "a MAC over encrypted values alone": (
        lambda text: text.replace("  mac: ", "  mac_only_encrypted: true\n  mac: "),
        "sops.mac_only_encrypted is refused for Secrets: their name and namespace could be changed unseen",
    ),
    "another kind": (
        lambda text: text.replace("kind: Secret", "kind: Service"),
        "an encrypted file may hold only Secrets and ConfigMaps, found v1 Service",
    ),
    "a type that is none": (
        lambda text: text.replace("type:str]", "type:int]"),
        "stringData.password decrypts to SOPS' type int, wanted a text: quote it before encrypting",
    ),
    "a value in the clear": (
        lambda text: text.replace("  user: ENC[", "  user: in-the-clear # ENC["),
        "stringData.user should be encrypted, but is not an ENC[AES256_GCM,…] text",
    ),
}


@pytest.mark.parametrize(("tamper", "problem"), TAMPERED.values(), ids=TAMPERED.keys())
def test_a_tampered_file_is_refused(
    site: Site, capsys: pytest.CaptureFixture[str], tamper: Callable[[str], str], problem: str
) -> None:
    sealed = site.encrypted(PLAIN)

    async def story(whole: Whole) -> None:
        good = await whole.goes_live({"db.yaml": sealed})
        live = whole.found(SECRET, "default", "db")
        text = tamper(sealed)
        assert text != sealed

        problems = await whole.is_refused({"db.yaml": text, "new.yaml": config_map("new")})

        assert [re.sub(r"^db\.yaml:\d+: ", "", one) for one in problems] == [problem]
        assert whole.live_commit() == good
        assert whole.found(SECRET, "default", "db") == live
        await whole.goes_live({"db.yaml": sealed})

    site.run(story)
    said = capsys.readouterr().err
    assert len([line for line in said.splitlines() if re.match(r"db\.yaml:\d+: ", line)]) == 1
    assert "canary" not in said


def test_a_file_for_another_key_names_its_recipients_and_opens_once_the_key_is_there(site: Site) -> None:
    identity, recipient = keygen()
    mine = site.encrypted(PLAIN)
    site.recipient = recipient
    theirs = site.encrypted(PLAIN)

    async def story(whole: Whole) -> None:
        good = await whole.goes_live({"db.yaml": mine})

        problems = await whole.is_refused({"db.yaml": theirs})
        assert problems == [
            f"db.yaml:1: cannot decrypt: 1 key here, which does not match; the file's recipients are {recipient}"
        ]
        assert whole.live_commit() == good
        key_file = whole.data / "age.key"
        key_file.write_text(f"{key_file.read_text()}\n{identity}\n")
        await whole.is_live(whole.repository.git("rev-parse", "HEAD"))  # No restart, and no commit.

    site.run(story)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no age key here"),
        ("", "there is no age key here"),
        ("nonsense", "line 1: not an age key"),
    ],
)
def test_without_a_usable_key_the_last_good_state_stays(site: Site, content: str | None, words: str) -> None:
    async def story(whole: Whole) -> None:
        good = await whole.goes_live({"db.yaml": site.encrypted(PLAIN)})
        key_file = whole.data / "age.key"
        key_file.unlink()
        if content is not None:
            key_file.write_text(content)

        problems = await whole.is_refused(
            {"db.yaml": site.encrypted(manifest("Secret", "db", password="new"))}
        )

        assert len(problems) == 1
        assert words in problems[0]
        assert whole.live_commit() == good
        assert whole.found(SECRET, "default", "db") is not None

    site.run(story)
