"""What people call kinds and objects."""

import pytest

from gitops.cli.named import named, one_named, params_of
from gitops.cli.usage import WrongUsage

NAMES = {
    "deploy": ("deployments.apps", ""),
    "Deployment/web": ("deployments.apps", "web"),
    "deployments.apps/web": ("deployments.apps", "web"),
    "po": ("pods", ""),
    "ns/shop": ("namespaces", "shop"),
    "gitsources": ("gitsources.gitward.io", ""),
}


@pytest.mark.parametrize("text", NAMES)
def test_kinds_have_all_the_names_that_kubectl_takes(text: str) -> None:
    found = named(text)

    assert (found.kind.resource, found.name) == NAMES[text]


def test_kind_and_name_may_come_apart() -> None:
    assert named("cm", "a") == named("cm/a")


@pytest.mark.parametrize(("text", "name"), [("cm/a", "b"), ("cm/", ""), ("cm/a/b", ""), ("nonsense", "")])
def test_anything_else_is_wrong_usage(text: str, name: str) -> None:
    with pytest.raises(WrongUsage):
        named(text, name)


def test_one_object_is_wanted_where_a_kind_is_too_little() -> None:
    with pytest.raises(WrongUsage, match="wanted KIND/NAME"):
        one_named("deploy")


def test_what_lies_in_no_namespace_is_asked_for_without_one() -> None:
    assert params_of(named("ns/shop"), "default") == {"resource": "namespaces", "name": "shop"}
    assert params_of(named("pods"), "") == {"resource": "pods"}
