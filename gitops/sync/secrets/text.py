"""YAML that we write: block style, keys in their order, no text that another reader could take for something else."""

import re
from typing import Any, Final

import yaml

from gitops.kinds.yaml import KUBECTL, Json
from gitops.sync.secrets.leaves import SOPS

# Several lines, with no blanks or empty lines around them: those would need marks that other tools lose.
_LINES: Final = re.compile(r"\S(.*\n)+.*\S\n?\Z|\S.*\n\Z")


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if _LINES.match(text) else None if "\n" not in text and _reads_as_itself(text) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _reads_as_itself(text: str) -> bool:
    """Whether a plain scalar is this text to kubectl and SOPS too: PyYAML would leave `1e3` and `0o17` bare."""
    try:
        as_sops = SOPS.plain(text)
        return bool(KUBECTL.plain(text) == text) and type(as_sops) is str and as_sops == text
    except ValueError:
        return False


_Dumper.add_representer(str, _text)


def dump(values: list[Json]) -> str:
    """Documents as one YAML text."""
    return yaml.dump_all(
        values,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=10**6,
        explicit_start=len(values) > 1,
    )
