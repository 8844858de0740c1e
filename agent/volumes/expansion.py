"""`$(VAR)` in commands, arguments, variables and subPathExpr. Pure.

Source: kubernetes/third_party/forked/golang/expansion.
"""

from collections.abc import Mapping, Sequence


def expand(text: str, values: Mapping[str, str]) -> str:
    """`$(NAME)` becomes its value, `$$` one dollar; an unknown name stays as it is written."""
    parts: list[str] = []
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        parts.append(text[at:dollar])
        following = text[dollar + 1 : dollar + 2]
        end = text.find(")", dollar) if following == "(" else -1
        if following == "$":
            parts.append("$")
            at = dollar + 2
        elif end >= 0:
            name = text[dollar + 2 : end]
            parts.append(values.get(name, f"$({name})"))
            at = end + 1
        else:
            parts.append("$")
            at = dollar + 1
    return "".join(parts) + text[at:]


def expand_all(texts: Sequence[str], values: Mapping[str, str]) -> tuple[str, ...]:
    """Each of a command's words."""
    return tuple(expand(text, values) for text in texts)
