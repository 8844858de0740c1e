"""What a GitSource may say, and that its packed schema knows all of it."""

from typing import Any

import pytest

from gitops.kinds import schema
from gitops.kinds.gitward import GIT_SOURCE
from gitops.kinds.schema_nodes import definitions
from tests.tools.build_schemas import of_shape

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no URL": ({"url": ""}, "spec.url: Required value"),
    "an interval of nothing": (
        {"intervalSeconds": 0},
        "spec.intervalSeconds: Invalid value: 0: must be at least 1",
    ),
    "no app": ({"apps": []}, "spec.apps: Required value: a folder, or a pattern such as apps/*"),
    "an app without a folder": (
        {"apps": [{"path": "/"}]},
        "spec.apps[0].path: Required value: a folder, or a pattern such as apps/*",
    ),
    "a pattern with a name": (
        {"apps": [{"path": "a"}, {"path": "b/*", "name": "b"}]},
        "spec.apps[1].name: Forbidden: the folders that a pattern matches are named as they are",
    ),
    "too many apps": (
        {"apps": [{"path": f"a{number}"} for number in range(1001)]},
        "spec.apps: Too many: 1001: must have at most 1000 items",
    ),
    "signers without a key": ({"verify": {}}, "spec.verify: Required value: allowedSigners, gpgKeys or both"),
}


def a_source(**spec: Any) -> Any:
    meta = {"name": "shop"}
    spec = {"url": "https://git.example.com/shop.git", **spec}
    return {"apiVersion": GIT_SOURCE.api_version, "kind": "GitSource", "metadata": meta, "spec": spec}


@pytest.mark.parametrize(("spec", "told"), WRONG.values(), ids=WRONG.keys())
def test_a_broken_rule_is_told_with_its_field(spec: dict[str, Any], told: str) -> None:
    (problem,) = GIT_SOURCE.check(a_source(**spec))

    assert f"{problem.field}: {problem.message}" == told


def test_a_source_may_say_all_of_it() -> None:
    source = a_source(
        branch="main",
        path="clusters/a",
        apps=[{"path": "apps/*"}, {"name": "base", "path": "infra"}],
        intervalSeconds=60,
        requireFastForward=True,
        verify={"allowedSigners": "ann ssh-ed25519 AAAA", "commits": "firstParent"},
        secretRef={"name": "git"},
    )

    assert schema.violations(GIT_SOURCE, source) == []
    assert list(GIT_SOURCE.check(source)) == []


def test_an_unknown_field_of_a_source_is_told_with_a_suggestion() -> None:
    (problem,) = schema.violations(GIT_SOURCE, a_source(requireFastForwards=True))

    assert problem.message == 'unknown field "spec.requireFastForwards", did you mean "requireFastForward"?'


def test_the_packed_schema_is_as_the_code() -> None:
    """Else a status that the code writes would be refused; renew it by `python tests/tools/build_schemas.py`."""
    packed = definitions()["io.gitward.v1alpha1.GitSource"]

    assert packed["properties"] == of_shape(GIT_SOURCE.shape)["properties"]
