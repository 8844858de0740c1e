"""`sources:` of `gitward.yaml`: several repositories, each with keys of its own."""

from pathlib import Path
from typing import Any

import pytest

from gitops.cli.settings import UpSettings
from gitops.cli.sources import sources_of
from gitops.cli.up import _master_settings
from gitops.cli.usage import WrongUsage
from gitops.sync.operators import OperatorSource
from tests.unit.cli.running import Shell
from tests.unit.cli.test_settings import RIGHT

SHOP = {"name": "shop", "repo": "https://git.example.com/shop.git"}
WRONG: dict[str, tuple[Any, str]] = {
    "no list": ({"name": "shop"}, "sources: wanted a list"),
    "no map": (["shop"], "sources: entry 1: wanted keys"),
    "no name": ([{"repo": "/r"}], "sources: entry 1: name: Field required"),
    "a name that is none": ([{**SHOP, "name": "A/b"}], "sources: entry 1: name: String should match pattern"),
    "an unknown key": (
        [SHOP, {**SHOP, "branc": "x"}],
        "sources: entry 2: branc is no key of a source, did you mean branch?",
    ),
    "two of one name": ([SHOP, SHOP], "sources: shop stands there twice"),
}


@pytest.mark.parametrize(("stated", "told"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_entry_is_told_with_its_place(stated: Any, told: str) -> None:
    with pytest.raises(WrongUsage) as error:
        sources_of(stated)

    assert str(error.value).startswith(told)


def test_an_entry_says_all_that_a_flag_can_say_and_the_flags_files_are_its_defaults() -> None:
    (source,) = sources_of(
        [
            {
                **SHOP,
                "branch": "main",
                "path": "clusters/a",
                "apps": ["apps/*", {"name": "base", "path": "infra"}],
                "interval": "5m",
                "require-fast-forward": True,
                "ssh-key-file": "/etc/key",
            }
        ]
    )
    flags = OperatorSource({"url": ""}, known_hosts_file=Path("/etc/hosts"), ssh_key_file=Path("/other"))

    assert source.operator_source(flags) == OperatorSource(
        {
            "url": "https://git.example.com/shop.git",
            "branch": "main",
            "path": "clusters/a",
            "apps": [{"path": "apps/*"}, {"name": "base", "path": "infra"}],
            "intervalSeconds": 300.0,
            "requireFastForward": True,
        },
        ssh_key_file=Path("/etc/key"),
        known_hosts_file=Path("/etc/hosts"),
    )


def test_a_pattern_has_no_name() -> None:
    (source,) = sources_of([{**SHOP, "apps": [{"name": "x", "path": "apps/*"}]}])

    with pytest.raises(WrongUsage, match=r"sources: shop: spec.apps\[0\].name: Forbidden"):
        source.operator_source()


def test_the_flags_source_stands_beside_those_of_the_file() -> None:
    (other,) = sources_of([{**SHOP, "name": "other"}])
    settings = UpSettings(**{**RIGHT, "sources": (other,), "apps": ("apps/*",), "require_fast_forward": True})

    sources = _master_settings(settings).sync.sources

    assert {name: dict(source.spec) for name, source in sources.items()} == {
        "other": {"url": "https://git.example.com/shop.git"},
        "main": {
            "url": "https://git.example.com/shop.git",
            "apps": [{"path": "apps/*"}],
            "intervalSeconds": 30.0,
            "requireFastForward": True,
        },
    }


def test_one_name_for_two_sources_is_told() -> None:
    (other,) = sources_of([{**SHOP, "name": "main"}])

    with pytest.raises(WrongUsage, match=r"--source-name main: gitward.yaml has a source of this name too"):
        _master_settings(UpSettings(**{**RIGHT, "sources": (other,)}))


def test_a_file_with_a_wrong_source_is_wrong_usage_of_every_command(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "gitward.yaml"
    file.write_text("sources:\n  - {name: shop}\n")

    ended = shell.run("--config", str(file), "secret", "keygen")

    assert ended.code == 64
    assert ended.err == "sources: entry 1: repo: Field required\n"
