"""Whatever has the official shape can be defaulted, checked, shown and judged: no rule assumes more than that."""

from random import Random
from typing import Any, Final

import pytest

from gitops.kinds import registry, schema
from gitops.kinds.health import health
from gitops.kinds.kind import Kind
from tests.unit.kinds.objects import NOW

OBJECTS_OF_A_KIND: Final = 120
DEPTH_MAX: Final = 12
TEXTS: Final = (
    "",
    "a",
    "web",
    "/",
    "/a/../b",
    "1Gi",
    "50%",
    "10.77.0.1",
    "*",
    "Always",
    "x" * 70,
    "-",
    "None",
    "YQ==",
)
NUMBERS: Final = (-1, 0, 1, 80, 70_000)


def a_value(random: Random, definition: dict[str, Any], depth: int) -> Any:
    """Any small value that a schema admits; hypothesis is far slower at trees of this size."""
    if "$ref" in definition:
        definition = schema.definitions()[definition["$ref"].rpartition("/")[2]]
    if definition.get("format") == "date-time":
        return "2026-01-01T00:00:00Z"
    if "enum" in definition:
        return random.choice(definition["enum"])
    types = definition.get("type", "object")
    match types:
        case "string":
            return random.choice(TEXTS)
        case "integer" | "number":
            return random.choice(NUMBERS)
        case "boolean":
            return random.random() < 0.5
        case "array":
            count = random.choice((0, 1, 1, 2)) if depth < DEPTH_MAX else 0
            return [a_value(random, definition["items"], depth + 1) for _ in range(count)]
        case list():
            return random.choice((*TEXTS, *NUMBERS))
    return a_map(random, definition, depth)


def a_map(random: Random, definition: dict[str, Any], depth: int) -> dict[str, Any]:
    properties = definition.get("properties")
    if properties is None:
        values = definition.get("additionalProperties")
        if not isinstance(values, dict):
            return {}
        names = random.sample(TEXTS[1:], random.choice((0, 1, 2)))
        return {name: a_value(random, values, depth + 1) for name in names}
    required = definition.get("required", ())
    share = random.choice((0.1, 0.5, 0.9)) if depth < DEPTH_MAX else 0
    share = 1 if depth < 2 and random.random() < 0.9 else share
    return {
        name: a_value(random, one, depth + 1)
        for name, one in properties.items()
        if name in required or random.random() < share
    }


def an_object(random: Random, kind: Kind[Any]) -> Any:
    definition = schema.definition(kind.group, kind.version, kind.kind)
    assert definition is not None
    obj = a_map(random, dict(definition), 0)
    return {"metadata": {}, **obj, "apiVersion": kind.api_version, "kind": kind.kind}


@pytest.mark.parametrize("kind", registry.ALL, ids=lambda kind: kind.resource)
def test_no_object_of_the_official_shape_breaks_a_rule_itself(kind: Kind[Any]) -> None:
    for seed in range(OBJECTS_OF_A_KIND):
        obj = an_object(Random(f"{kind.resource} {seed}"), kind)
        assert schema.violations(kind, obj) == [], seed

        filled = kind.defaults(obj)
        assert schema.violations(kind, filled) == [], seed
        assert kind.defaults(filled) == filled, seed
        assert all(problem.message for problem in kind.check(filled)), seed
        assert list(kind.check_update(filled, filled)) == [], seed
        assert all(schema.warnings(kind, filled)), seed
        assert health(filled).state in ("Healthy", "Progressing", "Degraded"), seed
        if kind.cells is not None:
            assert len(kind.cells(filled, NOW)) == len(kind.columns), seed
