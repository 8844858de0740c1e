"""`gitward check`: what the server would say of files and folders, before it is pushed."""

import re
from pathlib import Path
from typing import Final

import typer

from gitops.kinds.errors import GitwardError
from gitops.kinds.printable import shown
from gitops.sync.check import check

_PLACE: Final = re.compile(r"^.*?:\d+: ")


class CheckFailed(GitwardError):
    """The summary; what is wrong was printed before."""


def run_check(
    paths: list[Path], *, strict: bool, render_bin_dir: Path | None = None, apps: tuple[str, ...] = ()
) -> None:
    """Print a line for each finding. Raises CheckFailed for errors, with `strict` for warnings too."""
    report = check(paths, render_bin_dir=render_bin_dir, apps=apps)
    for line in report.errors:
        typer.echo(shown(line))
    for line in report.warnings:
        typer.echo(shown(_warned(line)))
    found = f"{_count(len(report.errors), 'error')}, {_count(len(report.warnings), 'warning')}"
    if report.errors or (strict and report.warnings):
        raise CheckFailed(found)
    typer.echo(found)


def _warned(line: str) -> str:
    """`web.yaml:3: warning: …`, as compilers write it."""
    place = match[0] if (match := _PLACE.match(line)) else ""
    return f"{place}warning: {line[len(place) :]}"


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
