"""Refusals in Kubernetes' words: what client libraries and people know how to read."""

from collections.abc import Sequence
from typing import Any

from gitops.kinds.errors import Forbidden, Invalid
from gitops.kinds.kind import Kind, Problem


def invalid(kind: Kind[Any], name: str, problems: Sequence[Problem]) -> Invalid:
    """`Deployment.apps "web" is invalid: spec.replicas: Invalid value: -1: …`; several stand in brackets."""
    told = [
        f"{problem.field}: {problem.message}" if problem.field else problem.message for problem in problems
    ]
    qualified = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    body = told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    return Invalid(
        f'{qualified} "{name}" is invalid: {body}', tuple((one.field, one.message) for one in problems)
    )


def forbidden(kind: Kind[Any], name: str, why: str) -> Forbidden:
    """`pods "web" is forbidden: …`"""
    return Forbidden(f'{kind.resource} "{name}" is forbidden: {why}')
