"""The official shape of every kind: what a field may be, what is missing, what is unknown, and how lists merge.

The schemas are Kubernetes 1.35's, packed by `tests/tools/build_schemas.py`. They know types, required and unknown
fields, but no defaults and no ranges: those are in the kinds' own modules. A validator is compiled when a kind is
first checked.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, Final

import orjson
from jsonschema_rs import Draft202012Validator, Registry, ValidationError, ValidationErrorKind

from gitops.kinds.kind import Kind, Problem
from gitops.kinds.objects import KubeObject
from gitops.kinds.schema_nodes import (
    Node,
    definition,
    definition_name,
    definitions,
    list_type,
    path_text,
    root,
)
from gitops.kinds.sensitive import Sensitive
from gitops.kinds.unsupported import unsupported, warnings

__all__ = [
    "Node",
    "definition",
    "definition_name",
    "definitions",
    "is_unknown_field",
    "list_type",
    "path_text",
    "root",
    "unsupported",
    "violations",
    "warnings",
    "without_nulls",
]

_BASE: Final = "urn:kubernetes"
_WORDS: Final = {
    "string": "text",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a map",
    "null": "nothing",
}
_UNKNOWN: Final = 'unknown field "'
Json = Any  # A JSON value.


def without_nulls(value: Json) -> Json:
    """A copy in which fields that are null are absent, which is what they mean to Kubernetes. Lists keep theirs."""
    if isinstance(value, Mapping):
        return {name: without_nulls(one) for name, one in value.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


def violations(kind: Kind[Any], obj: KubeObject) -> list[Problem]:
    """Where an object leaves the shape of its kind: unknown fields, wrong types, what is missing. Never shows a secret.

    A kind without a schema has no violations.
    """
    validator = _validator(kind)
    if validator is None:
        return []
    if _is_plainly_valid(validator, obj):
        return []
    shown = _redacted(obj)
    if validator.is_valid(shown):
        return []
    quiet = "data" in obj or "stringData" in obj or "binaryData" in obj
    return [problem for error in validator.iter_errors(shown) for problem in _problems(error, kind, quiet)]


def is_unknown_field(problem: Problem) -> bool:
    """Whether a violation is an unknown field, which the API may be asked to warn of instead."""
    return problem.message.startswith(_UNKNOWN)


@cache
def _registry() -> Registry:
    return Registry([(_BASE, {"$defs": definitions()})])


@cache
def _validator(kind: Kind[Any]) -> Draft202012Validator | None:
    name = definition_name(kind.group, kind.version, kind.kind)
    return (
        None
        if name is None
        else Draft202012Validator({"$ref": f"{_BASE}#/$defs/{name}"}, registry=_registry())
    )


def _is_plainly_valid(validator: Draft202012Validator, obj: KubeObject) -> bool:
    """As it is, which most objects are: no copy is needed then. Sealed leaves are no JSON."""
    try:
        return validator.is_valid(obj)
    except ValueError:
        return False


def _redacted(value: Json) -> Json:
    """What the validator sees: sealed leaves are texts, null fields are absent."""
    if isinstance(value, Mapping):
        return {name: _redacted(one) for name, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_redacted(one) for one in value]
    return "<sensitive>" if isinstance(value, Sensitive) else value


def _problems(error: ValidationError, kind: Kind[Any], quiet: bool) -> Iterator[Problem]:
    steps = list(error.instance_path)
    match error.kind:
        case ValidationErrorKind.AdditionalProperties(unexpected=names):
            known = _known(kind, steps)
            for name in names:
                path = path_text([*steps, name])
                yield Problem(path, f'{_UNKNOWN}{path}"{_suggestion(name, known)}')
        case ValidationErrorKind.Required(property=name):
            yield Problem(path_text([*steps, name]), "Required value")
        case ValidationErrorKind.Type(types=types):
            yield Problem(path_text(steps), _wrong_type(error.instance, types, quiet))
        case ValidationErrorKind.Enum(options=options):
            supported = ", ".join(f'"{one}"' for one in sorted(map(str, options)))
            found = "" if quiet else f' "{error.instance}":'
            yield Problem(path_text(steps), f"Unsupported value:{found} supported values: {supported}")
        case _:
            yield Problem(path_text(steps), "Invalid value" if quiet else f"Invalid value: {error.message}")


def _known(kind: Kind[Any], steps: list[str | int]) -> frozenset[str]:
    node = root(kind)
    for step in steps:
        if node is not None:
            node = node.items() if isinstance(step, int) else node.child(step)
    return frozenset() if node is None else node.fields


def _suggestion(name: str, known: frozenset[str]) -> str:
    lower = {one.lower(): one for one in sorted(known)}
    close = get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    return f', did you mean "{lower[close[0]]}"?' if close else ""


def _wrong_type(found: Json, wanted: list[str], quiet: bool) -> str:
    want = " or ".join(_WORDS[one] for one in sorted(wanted))
    scalar = isinstance(found, str | int | float)
    shown = f" ({orjson.dumps(found).decode()})" if scalar and not quiet else ""
    advice = ": quote it" if "string" in wanted and scalar else ""
    if isinstance(found, str) and not quiet and _reads_as(found, wanted):
        advice = ": remove the quotes"
    return f"found {_word_of(found)}{shown}, wanted {want}{advice}"


def _reads_as(text: str, wanted: list[str]) -> bool:
    number = text.removeprefix("-").isdigit() and bool({"integer", "number"} & set(wanted))
    return number or (text in ("true", "false") and "boolean" in wanted)


def _word_of(found: Json) -> str:
    if isinstance(found, bool):
        return "true or false"
    for python, word in ((str, "text"), (int | float, "a number"), (list, "a list"), (Mapping, "a map")):
        if isinstance(found, python):
            return word
    return "nothing"
