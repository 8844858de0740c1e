"""The documents keep up with the code: flags, variables, metrics, kinds, and what they point to."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import typer.main

from gitops.api.health import Metrics
from gitops.cli.main import app
from tests.tools.manifest_page import page

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
PAGES: Final = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "examples-repo").glob("*.md")])
ROOMS: Final = ("gitops", "agent", "webhooks", "tests", "docs", "examples-repo")


@cache
def _text(path: Path) -> str:
    return path.read_text()


def _commands(command: Any, *names: str) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", {})
    for name, each in below.items():
        yield from _commands(each, *names, name)
    if names and not below:
        yield " ".join(names), command


COMMANDS: Final = dict(_commands(typer.main.get_command(app)))


def test_the_page_of_manifests_says_what_the_code_does(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-golden"):
        (DOCS / "manifests.md").write_text(page())

    assert page() == _text(DOCS / "manifests.md"), "renew it: pytest tests/unit/test_docs.py --update-golden"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_flag_is_documented_with_its_variable(name: str) -> None:
    text = _text(DOCS / "cli.md")
    options = [
        param for param in COMMANDS[name].params if param.param_type_name == "option" and param.name != "help"
    ]

    assert f"gitward {name}" in text
    assert [param.opts[0] for param in options if f"`{param.opts[0]}" not in text] == []
    assert [param.envvar for param in options if f"`{param.envvar}`" not in text] == []


def test_every_variable_that_is_read_is_documented() -> None:
    sources = [path for room in ("gitops", "agent", "webhooks") for path in (ROOT / room).rglob("*.py")]
    read = {name for path in sources for name in re.findall(r'"(GITWARD_[A-Z_]*[A-Z])"', path.read_text())}

    assert [name for name in sorted(read) if f"`{name}`" not in _text(DOCS / "cli.md")] == []
    assert "GITWARD_LOG_LEVEL" in read


def test_every_metric_is_documented() -> None:
    families = Metrics().registry.collect()
    names = [f"{family.name}_total" if family.type == "counter" else family.name for family in families]

    assert [name for name in names if f"`{name}`" not in _text(DOCS / "operations.md")] == []
    assert "apiserver_request_total" in names


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", _text(path)):
        file, _, heading = target.partition("#")
        if "://" in target:
            continue
        there = (path.parent / file).resolve() if file else path
        if not there.exists() or (heading and heading not in _headings(there)):
            broken.append(target)

    assert broken == []


def _headings(path: Path) -> set[str]:
    """As GitHub makes anchors of them."""
    titles = re.findall(r"^#+ (.+)$", _text(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize(
    "path",
    [path for path in PAGES if path.name != "CHANGELOG.md"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_files_of_ours_that_are_named_exist(path: Path) -> None:
    """`gitops/store/seal.py`, `tests/unit/`: a renamed module must not live on in a document."""
    named = re.findall(rf"`((?:{'|'.join(ROOMS)})/[\w./-]*)`", _text(path))

    assert [
        name for name in named if not (ROOT / name.removesuffix("/")).exists() and not _is_module(name)
    ] == []


def _is_module(name: str) -> bool:
    return (ROOT / f"{name}.py").exists() or "daemonset" in name  # The how-to's example.


def test_every_defence_is_proven_by_a_test_that_exists() -> None:
    """SECURITY.md names tests as `tests/attacks/test_x.py::test_name`."""
    text = _text(ROOT / "SECURITY.md")
    named = re.findall(r"`(tests/[\w./]+\.py)::(\w+)`", text)

    assert [f"{file}::{name}" for file, name in named if f"def {name}(" not in _source(file)] == []
    assert len(named) > 20


@cache
def _source(file: str) -> str:
    path = ROOT / file
    return path.read_text() if path.exists() else ""
