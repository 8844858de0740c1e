"""How commands print: one value as a table, JSON or YAML."""

import json
from collections.abc import Sequence
from typing import Any

import typer
import yaml

from gitops.cli.usage import WrongUsage
from gitops.kinds.printable import shown


def emit(value: Any, output: str, table: str) -> None:
    """`value` as JSON or YAML, or the given text of a table. Raises WrongUsage for another format."""
    match output:
        case "json":
            typer.echo(json.dumps(value, indent=2))
        case "yaml":
            typer.echo(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), nl=False)
        case "table":
            typer.echo(table, nl=False)
        case _:
            raise WrongUsage(f"--output: found {output!r}, wanted table, json or yaml")


def columns(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Left-aligned columns three spaces apart, as kubectl prints them; '' without rows."""
    if not rows:
        return ""
    cells = [tuple(header), *(tuple(shown(str(cell)) for cell in row) for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(header))]
    lines = ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    return "".join(line.rstrip() + "\n" for line in lines)
