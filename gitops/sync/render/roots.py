"""Which folders of an app are rendered, and what a kustomization reaches. Pure.

A folder with a kustomization or a Chart.yaml is one root: nothing below it is read as a manifest of its own. Source:
Flux (kustomize-controller's generator) for that; Argo CD for a chart going before a kustomization in the same folder.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from posixpath import normpath
from typing import Final, Literal, NamedTuple

from gitops.kinds.yaml import Json

Tool = Literal["kubectl", "helm"]
KUSTOMIZATIONS: Final = ("kustomization.yaml", "kustomization.yml", "Kustomization")
CHART: Final = "Chart.yaml"
DEPTH_MAX: Final = 100
# Where a kustomization names files and folders; elsewhere a URL is only a text.
_REFERENCES: Final = (
    "resources", "bases", "components", "crds", "configurations", "generators", "transformers", "validators"
)  # fmt: skip
_PLACES: Final = ("resources", "bases", "components")  # Files and folders, each of which must be there.
_REMOTE: Final = re.compile(
    r"://|\?(ref|version|timeout|submodules)=|^(git::|git@)|^[\w.-]+\.[a-z]{2,}[:/]", re.IGNORECASE
)
_FLAGGED: Final = ("helmCharts", "helmChartInflationGenerator", "helmGlobals")


class Root(NamedTuple):
    """`folder` '': the repository itself. `file`: its kustomization or Chart.yaml, which stands for what it states."""

    folder: str
    file: str
    tool: Tool


class Reach(NamedTuple):
    """What a kustomization names: paths in the repository that may exist, and what is never rendered, as messages."""

    paths: tuple[str, ...]
    refused: tuple[str, ...]


def renders(paths: Iterable[str]) -> tuple[Root, ...]:
    """The roots among the files of an app, those within others left out."""
    found: dict[str, Root] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        if name == CHART:
            found[folder] = Root(folder, path, "helm")
        elif name in KUSTOMIZATIONS:
            found.setdefault(folder, Root(folder, path, "kubectl"))
    return tuple(found[folder] for folder in sorted(found) if not any(one in found for one in _above(folder)))


def within(path: str, roots: Iterable[str]) -> bool:
    """Whether a file lies below one of the folders of roots (a set, for speed)."""
    return any(folder in roots for folder in _above(path))


def _above(path: str) -> Iterator[str]:
    """The folders that a path lies in, the repository itself last."""
    while path:
        path = path.rpartition("/")[0]
        yield path


def reach(kustomization: Json, folder: str, exists: Callable[[str], bool]) -> Reach:
    """Every text in it that could be a path: more than kustomize reads, so that nothing that it reads is missed.
    `exists`: whether a path is a file or a folder of the repository."""
    if not isinstance(kustomization, dict):
        return Reach((), ("a kustomization is a mapping",))
    refused = [f"{name}: charts in a kustomization are not rendered; give the chart a folder of its own"
               for name in _FLAGGED if kustomization.get(name)]  # fmt: skip
    refused += [
        f"{field}: {text[:200]!r} is remote, and nothing is fetched while rendering: commit a copy, or follow it as a "
        "source of its own"
        for field in _REFERENCES
        for text in _list(kustomization.get(field))
        if isinstance(text, str) and _is_remote(text, folder, exists)
    ]
    return Reach(tuple(dict.fromkeys(_paths(kustomization, folder))), tuple(refused))


def astray(
    kustomization: Json, folder: str, is_file: Callable[[str], bool], is_folder: Callable[[str], bool]
) -> Iterator[str]:
    """What kustomize will not find, in plainer words than its own: nothing of that name, or a file from elsewhere.
    Source: kustomize's load restrictor, which `kubectl kustomize` leaves on."""
    stated = kustomization if isinstance(kustomization, dict) else {}
    for field in _PLACES:
        for text in _list(stated.get(field)):
            if not isinstance(text, str) or "\n" in text or not text.strip() or _REMOTE.search(text):
                continue
            path = normpath(f"{folder}/{text}" if folder else text)
            if path.startswith(("..", "/")):
                yield f"{field}: {text[:200]!r} leaves the repository"
            elif is_file(path) and folder and not path.startswith(f"{folder}/"):
                yield (
                    f"{field}: {text[:200]!r} is a file outside of this folder, and kustomize takes only whole "
                    "folders from elsewhere: name its folder, and give that a kustomization.yaml"
                )
            elif not is_file(path) and not is_folder("" if path == "." else path):
                yield f"{field}: {text[:200]!r}: there is no such file or folder"


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _is_remote(text: str, folder: str, exists: Callable[[str], bool]) -> bool:
    """As kustomize decides: what is there is local. A resource may also be a manifest itself, of several lines."""
    if "\n" in text or not _REMOTE.search(text):
        return False
    return not any(exists(path) for path in _paths(text, folder))


def _paths(value: Json, folder: str, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        for text in (value, value.rpartition("=")[2]):  # `files: [key=path]`.
            if text and "\n" not in text and "\0" not in text and not text.startswith("/"):
                path = normpath(f"{folder}/{text}" if folder else text)
                if not path.startswith(".."):
                    yield "" if path == "." else path
    elif depth < DEPTH_MAX:
        children = value.values() if isinstance(value, dict) else _list(value)
        for child in children:
            yield from _paths(child, folder, depth + 1)
