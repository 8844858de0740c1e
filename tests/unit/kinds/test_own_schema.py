"""The shipped schema of our own kind says what its TypedDict says: a field more in one of them would be refused."""

from typing import Any, cast

from gitops.kinds import schema
from gitops.kinds.gitward import GIT_SOURCE, GitSource, GitSourceSpec, GitSourceStatus


def test_every_field_of_a_source_is_in_its_schema() -> None:
    """Renew it by `python tests/tools/build_schemas.py`."""
    nobody: Any = {"of-no-type": True}  # Every field refuses it, and only an unknown one is told as unknown.
    source: dict[str, Any] = {
        "apiVersion": GIT_SOURCE.api_version,
        "kind": "GitSource",
        "metadata": {"name": "a"},
    }
    source |= {"spec": dict.fromkeys(GitSourceSpec.__annotations__, nobody)}
    source |= {"status": dict.fromkeys(GitSourceStatus.__annotations__, nobody)}

    told = [problem.message for problem in schema.violations(GIT_SOURCE, cast(GitSource, source))]

    assert [message for message in told if "unknown field" in message and "of-no-type" not in message] == []
    assert told
