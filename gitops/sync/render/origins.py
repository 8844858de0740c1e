"""Where what was rendered is stated: the template of a chart, the resource of a kustomization. Pure.

Helm says it in a comment above each object. For kustomize the resources that the kustomizations name are looked through
for the object of that group, kind and name, with the prefixes and suffixes that they add. What is not certain is left
out: then the chart or kustomization itself stands for it. A wrong line would only mislead a reader.
"""

import re
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from posixpath import normpath
from typing import Any, Final, NamedTuple

from gitops.kinds.keys import Origin
from gitops.kinds.yaml import Document, Json

_SOURCE: Final = re.compile(rb"^# Source: (\S{1,500})\s*$", re.MULTILINE)
_NAMED: Final = ("resources", "bases", "components")


class _Identity(NamedTuple):
    group: str
    kind: str
    name: str
    namespace: str


def of_chart(
    output: bytes, documents: Sequence[Document], folder: str, inputs: Mapping[str, bytes]
) -> dict[int, Origin]:
    """Document's index -> its template. `output`: what helm said; `inputs`: the chart's files by path, since a template
    may write such comments too."""
    found = [(output.count(b"\n", 0, one.start()) + 1, one[1].decode(errors="replace"))
             for one in _SOURCE.finditer(output)]  # fmt: skip
    lines = [line for line, _ in found]
    origins = {}
    for document in documents:
        at = bisect_left(lines, document.line) - 1
        file = _file_of(found[at][1], folder, inputs) if at >= 0 else None
        if file is not None:
            origins[document.index] = Origin(file, _line_in(inputs[file], document.value))
    return origins


def _file_of(source: str, folder: str, inputs: Collection[str]) -> str | None:
    """`shop/charts/db/templates/x.yaml` of the chart `shop`; of a subchart in an archive, the archive."""
    _, _, path = source.partition("/")
    file = f"{folder}/{path}" if folder else path
    if file in inputs:
        return file
    above, _, below = file.rpartition("/charts/")
    archive = re.compile(
        re.escape(f"{above}/charts/{below.partition('/')[0]}".removeprefix("/")) + r"-[\w.+-]+\.tgz"
    )
    return next((one for one in sorted(inputs) if archive.fullmatch(one)), None) if below else None


def _line_in(template: bytes, value: Json) -> int:
    """Of the only document of its kind in the template, the line of its kind; else 1."""
    kind = str(value.get("kind")) if isinstance(value, dict) else ""
    found = [
        *re.finditer(
            rb"^kind:[ \t]*[\"']?" + re.escape(kind.encode()) + rb"[\"']?[ \t]*\r?$", template, re.MULTILINE
        )
    ]
    return template.count(b"\n", 0, found[0].start()) + 1 if len(found) == 1 else 1


def named_files(kustomizations: Mapping[str, Json], files: Collection[str]) -> list[str]:
    """The files with whole objects among `files` (paths), as kustomizations (by path) name them; patches are none."""
    found: dict[str, None] = {}
    for path, value in kustomizations.items():
        folder = path.rpartition("/")[0]
        for name in _NAMED:
            for text in _texts(value, name):
                file = normpath(f"{folder}/{text}" if folder else text)
                if file in files:
                    found[file] = None
    return list(found)


def of_kustomization(
    documents: Sequence[Document],
    kustomizations: Mapping[str, Json],
    stated: Mapping[str, Sequence[Document]],
) -> dict[int, Origin]:
    """Document's index -> the resource. `stated`: what the files of `named_files` hold, by path."""
    before = [text for value in kustomizations.values() for text in _texts(value, "namePrefix")]
    after = [text for value in kustomizations.values() for text in _texts(value, "nameSuffix")]
    by_kind: dict[tuple[str, str], list[tuple[_Identity, Origin]]] = {}
    for path, held in stated.items():
        for document in held:
            if (one := _identity(document.value)) is not None:
                by_kind.setdefault(one[:2], []).append((one, Origin(path, document.line)))
    origins = {}
    for document in documents:
        wanted = _identity(document.value)
        if wanted is None:
            continue
        fitting = [(one, origin) for one, origin in by_kind.get(wanted[:2], ())
                   if _is_renamed(one.name, wanted.name, before, after)]  # fmt: skip
        for chosen in (
            [one for one in fitting if (one[0].name, one[0].namespace) == wanted[2:]],
            [one for one in fitting if one[0].name == wanted.name],
            fitting,
        ):
            if len(chosen) == 1:
                origins[document.index] = chosen[0][1]
            if chosen:
                break
    return origins


def _identity(value: Json) -> _Identity | None:
    meta = value.get("metadata") if isinstance(value, dict) else None
    if not isinstance(meta, dict) or not isinstance(meta.get("name"), str):
        return None
    group = str(value.get("apiVersion")).rpartition("/")[0]
    return _Identity(group, str(value.get("kind")), meta["name"], str(meta.get("namespace") or ""))


def _is_renamed(name: str, rendered: str, before: Sequence[str], after: Sequence[str]) -> bool:
    at = rendered.find(name)
    while at >= 0:
        if _is_made_of(rendered[:at], before) and _is_made_of(rendered[at + len(name) :], after):
            return True
        at = rendered.find(name, at + 1)
    return False


def _is_made_of(text: str, parts: Sequence[str]) -> bool:
    """Whether a text is a row of parts, each any number of times. In steps: the parts are hostile."""
    reached = {0}
    for end in range(1, len(text) + 1):
        if any(
            end - len(part) in reached and text.startswith(part, end - len(part)) for part in parts if part
        ):
            reached.add(end)
    return len(text) in reached


def _texts(value: Json, field: str) -> list[str]:
    found: Any = value.get(field) if isinstance(value, dict) else None
    listed = found if isinstance(found, list) else [found]
    return [one for one in listed if isinstance(one, str) and one and "\n" not in one]
