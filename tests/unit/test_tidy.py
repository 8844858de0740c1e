"""The house's rules that no linter knows: sizes, names, tables of contents, and no module that nobody needs."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
ROOMS: Final = ("gitops", "agent", "webhooks")
LINES_MAX: Final = 400
ROOTS: Final = {
    "gitops.cli.main": "the command `gitward`",
    "agent.node": "`python -m agent.node`, started by `gitward up`",
    "agent.dns.__main__": "`python -m agent.dns`, started by the agent",
    "gitops.store.memory": "the other backend of the store's contract: what tests run on",
    "gitops.simulator.__main__": "`python -m gitops.simulator`, which `make simulate` runs",
    "gitops.sync.render.child": "the parser, started by the master's half of it",
    "agent.contained_start": "`python -m agent.contained_start`, which a helper's container begins with",
    "gitops.cli.doctor.trial": "`python -m gitops.cli.doctor.trial`, started by `gitward doctor`",
}
EMPTY_NAMES: Final = re.compile(r"(utils?|helpers?|managers?|common|misc|stuff)$", re.IGNORECASE)
MEANT: Final = {"agent/helpers.py": "helper processes are what DNS and proxy are called here"}


def _name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _modules(*rooms: str) -> list[Path]:
    return sorted(path for room in rooms for path in (ROOT / room).rglob("*.py"))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


OURS: Final = _modules(*ROOMS)
EVERY: Final = _modules(*ROOMS, "tests", "examples-repo")


def _shown(paths: Iterator[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def test_a_module_reads_in_one_sitting() -> None:
    sizes = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in EVERY}

    assert {name: lines for name, lines in sizes.items() if lines > LINES_MAX} == {}


def test_every_module_says_what_it_is_for() -> None:
    assert _shown(path for path in EVERY if not ast.get_docstring(_tree(path))) == []


def test_a_package_has_a_table_of_contents_and_no_code() -> None:
    assert _shown(path for path in EVERY if path.name == "__init__.py" and list(_code(path))) == []
    folders = {path.parent for path in OURS}
    assert _shown(folder for folder in folders if not (folder / "__init__.py").exists()) == []


def _code(path: Path) -> Iterator[ast.stmt]:
    """Whatever is neither docstring, import nor `__all__`."""
    for statement in _tree(path).body[1:]:
        match statement:
            case ast.Import() | ast.ImportFrom() | ast.Assign(targets=[ast.Name(id="__all__")]):
                continue
            case _:
                yield statement


def test_a_table_of_contents_names_only_what_is_there() -> None:
    """`reading order: a.py, b/` of a package must not outlive a renamed module."""
    missing = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in OURS
        if path.name == "__init__.py"
        for name in re.findall(r"`([a-z0-9_]+(?:\.py|/))`", ast.get_docstring(_tree(path)) or "")
        if not ((path.parent / name).exists() or (ROOT / name).exists())
    ]

    assert missing == []


def test_no_module_is_dead() -> None:
    """Whatever only tests import is dead too."""
    needed = {name for path in OURS for name in _imported_by(path)} | ROOTS.keys()
    unused = [path for path in OURS if path.name != "__init__.py" and _name_of(path) not in needed]

    assert _shown(iter(unused)) == []


def _imported_by(path: Path) -> Iterator[str]:
    """Full names; `from a.b import c` may mean the module a.b.c."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_whatever_needs_no_importer_is_there() -> None:
    assert ROOTS.keys() - {_name_of(path) for path in OURS} == set()


def test_imports_are_absolute() -> None:
    relative = [
        path
        for path in EVERY
        if any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(_tree(path)))
    ]

    assert _shown(iter(relative)) == []


def test_a_name_says_what_a_thing_is() -> None:
    empty = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in OURS
        if str(path.relative_to(ROOT)) not in MEANT
        for name in (
            path.stem,
            *(node.name for node in ast.walk(_tree(path)) if isinstance(node, ast.ClassDef)),
        )
        if EMPTY_NAMES.search(name)
    ]

    assert empty == []
