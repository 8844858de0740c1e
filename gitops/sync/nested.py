"""Sources that a source states: what git may not say of them. Pure."""

from collections.abc import Collection
from typing import cast

from gitops.kinds.errors import BadRequest
from gitops.kinds.gitward import GIT_SOURCE, GitSource
from gitops.sync.apps import Apps
from gitops.sync.compile import Sheet, Stated
from gitops.sync.git import checked_url


def checked_sources(sheet: Sheet, reserved: Collection[str]) -> Sheet:
    """The file with what is wrong about the sources in it. `reserved`: names that the operator's own sources bear."""
    problems = tuple(
        f"{stated.file}:{stated.line}: {stated.key}: {wrong}"
        for stated in sheet.objects
        if GIT_SOURCE.owns(stated.obj) and (wrong := _wrong(stated, reserved))
    )
    return Sheet(sheet.objects, (*sheet.problems, *problems), sheet.warnings) if problems else sheet


def _wrong(stated: Stated, reserved: Collection[str]) -> str:
    if stated.key.name in reserved:
        return "the operator's own source bears this name (flags, gitward.yaml): choose another"
    spec = cast(GitSource, stated.obj)["spec"]
    try:
        checked_url(spec["url"], trusted=False)
        Apps(stated.key.name, spec.get("path", ""), spec.get("apps", ()))
    except BadRequest as error:
        return f"spec: {error}"
    return ""
