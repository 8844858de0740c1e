"""From parsed files to the objects of an app: decrypted and checked. Pure; shared by server and check.

One bad file holds the whole app back: every problem is a line `file:line: …`, and with one there is nothing to declare.
An object of an unknown kind is no problem and waits until its kind is served, unless the kind can be nobody's: were a
mistyped `Deploymnt` of apps/v1 taken for a custom resource, the Deployment would have left git, and be deleted.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

from gitops.kinds import registry, schema, unsupported, versions
from gitops.kinds.core.config import SEALED_FIELDS, SECRET, seal_values
from gitops.kinds.keys import Key, Origin
from gitops.kinds.kind import Kind, Problem
from gitops.kinds.names import check_metadata
from gitops.kinds.objects import KubeObject, key_of, with_meta
from gitops.kinds.yaml import Document, Json, nearest_line
from gitops.sync import foreign
from gitops.sync.render.parse import Failure, Parsed
from gitops.sync.secrets.places import BadField

DEFAULT_NAMESPACE: Final = "default"
SERVER_FIELDS: Final = (
    "creationTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)
_SAFE: Final = re.compile(
    r"[^/%\x00-\x20\x7f]{1,253}\Z"
)  # A name of any kind, so that it can be a key and a URL.
_KIND: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,62}\Z")
_API_VERSION: Final = re.compile(r"([a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?/)?v[a-z0-9]{1,30}\Z")


class FieldLines(Protocol):
    """Asked only when something must be told: where the fields of a document stand."""

    def __call__(self, file: str, index: int) -> Mapping[str, int]: ...


class Place(Protocol):
    """Where an object is stated."""

    @property
    def key(self) -> Key: ...
    @property
    def file(self) -> str: ...
    @property
    def line(self) -> int: ...


Opener = Callable[[Parsed], list[Document]]  # Raises BadField.


@dataclass(frozen=True, slots=True)
class File:
    """A file that was read. `looks_like_manifest`: what cannot be read of it is an error (other JSON is nobody's).

    `places`: of documents that were rendered, by index: where they are stated, as far as that is known.
    """

    path: str
    parsed: Parsed
    looks_like_manifest: bool = True
    places: Mapping[int, Origin] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stated:
    """An object as an app states it: namespace filled in, secrets sealed, not defaulted."""

    key: Key
    obj: KubeObject
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Sheet:
    """What one file states. `is_ignored`: it holds no manifest at all."""

    objects: tuple[Stated, ...] = ()
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    is_ignored: bool = False


@dataclass(frozen=True, slots=True)
class Compiled:
    """What an app's files state. `objects` is empty if there are problems."""

    objects: tuple[Stated, ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    ignored_files: int


def compile_files(files: Sequence[File], opener: Opener, lines: FieldLines) -> Compiled:
    """All objects of an app. `opener` decrypts what is sealed; `lines` finds the line of a field."""
    sheets = [compile_file(file, opener, lines) for file in files]
    found: dict[Key, Stated] = {}
    problems = [line for sheet in sheets for line in sheet.problems]
    problems += [
        stated_twice(first, stated)
        for sheet in sheets
        for stated in sheet.objects
        if (first := found.setdefault(stated.key, stated)) is not stated
    ]
    warnings = tuple(line for sheet in sheets for line in sheet.warnings)
    ignored = sum(sheet.is_ignored for sheet in sheets)
    return Compiled(() if problems else tuple(found.values()), tuple(problems), warnings, ignored)


def compile_file(file: File, opener: Opener, lines: FieldLines) -> Sheet:
    """One file alone: what it states does not depend on others."""
    failure, documents = _documents(file, opener, lines)
    if failure is not None:
        if file.looks_like_manifest:
            return Sheet(problems=(f"{file.path}:{failure.line}: {failure.what}",))
        return Sheet(is_ignored=True)
    objects: list[Stated] = []
    problems: list[str] = []
    warnings: list[str] = []
    manifests = [document for document in documents if _is_manifest(document.value)]
    for document in manifests:
        place = _Place(file, document, lines)
        stated = _stated(place, problems=problems, warnings=warnings)
        if stated is not None:
            objects.append(stated)
    return Sheet(tuple(objects), tuple(problems), tuple(warnings), not manifests)


def stated_twice(first: Place, second: Place) -> str:
    """What is told where an app states one object in two places."""
    where = f"{first.file}:{first.line}"
    return f"{second.file}:{second.line}: {second.key} is also stated in {where}: which one counts?"


def _documents(file: File, opener: Opener, lines: FieldLines) -> tuple[Failure | None, Sequence[Document]]:
    parsed = file.parsed
    if parsed.failure is not None:
        return parsed.failure, ()
    try:
        return None, opener(parsed)
    except BadField as error:
        document = parsed.documents[error.document]
        if (origin := file.places.get(document.index)) is not None:
            return Failure(1, f"{error} (of {origin.file}:{origin.line})"), ()
        path = ".".join(part for part in (document.path, error.field) if part)
        line = nearest_line(dict(lines(file.path, document.index)), path) or document.line
        return Failure(line, str(error)), ()


def _is_manifest(value: Json) -> bool:
    """Whether it means to be an object: it says what it is, or at least half of it and has metadata."""
    if not isinstance(value, dict):
        return False
    said = ("apiVersion" in value) + ("kind" in value)
    return said == 2 or (said == 1 and isinstance(value.get("metadata"), dict))


class _Place:
    """A document and where it stands."""

    def __init__(self, file: File, document: Document, lines: FieldLines) -> None:
        origin = file.places.get(document.index)
        self.file, self.line = (origin.file, origin.line) if origin else (file.path, document.line)
        self.value = document.value
        self._index, self._path, self._lines = document.index, document.path, lines
        self._rendered_by = file.path if origin else ""

    def told(self, about: Key | None, problem: Problem) -> str:
        """`file:line: Deployment shop/web: spec.replicas: …`, with the line of the field, or of what was rendered the
        line where its source begins."""
        path = ".".join(part for part in (self._path, problem.field) if part)
        lines = dict(self._lines(self.file, self._index)) if path and not self._rendered_by else {}
        line = (nearest_line(lines, path) if path else None) or self.line
        field = "" if not problem.field or problem.field in problem.message else f"{problem.field}: "
        by = f" (rendered by {self._rendered_by})" if self._rendered_by else ""
        return f"{self.file}:{line}: {f'{about}: ' if about else ''}{field}{problem.message}{by}"


def _stated(place: _Place, *, problems: list[str], warnings: list[str]) -> Stated | None:
    wrong = _wrong_identity(place.value)
    if wrong is not None:
        problems.append(place.told(None, wrong))
        return None
    obj = _cleaned(place.value)
    key = key_of(obj)
    if lost := [place.told(key, problem) for problem in versions.problems_of(obj)]:
        problems.extend(lost)
        return None
    obj = versions.as_served(obj)
    kind = registry.find(key.group, key.kind)
    if (mistake := versions.mistake(obj["apiVersion"], obj["kind"])) is not None:
        problems.append(place.told(key, Problem("kind", mistake)))
        return None
    if kind is None:
        what = f"no kind {obj['kind']} of {obj['apiVersion']} is served: it waits"
        warnings.append(place.told(key, Problem("", what)))
        return Stated(key, obj, place.file, place.line)
    if kind.namespaced and not key.namespace:
        obj = with_meta(obj, namespace=DEFAULT_NAMESPACE)
        key = key_of(obj)
    if kind is SECRET and _is_clear(obj):
        warnings.append(place.told(key, Problem("", "a secret in clear text; see `gitward secret encrypt`")))
    if kind is SECRET:
        obj = seal_values(obj)
    broken = list(_broken(kind, obj))
    problems.extend(place.told(key, foreign.explained(problem)) for problem in broken)
    if broken:
        return None
    warnings.extend(place.told(key, Problem(*_field_of(text))) for text in unsupported.warnings(kind, obj))
    warnings.extend(place.told(key, mark) for mark in foreign.marks_of_others(obj))
    return Stated(key, obj, place.file, place.line)


def _is_clear(secret: KubeObject) -> bool:
    """Whether a value lies in git as it is: what was opened is `Sensitive` already."""
    fields = (cast(dict[str, Any], secret).get(field) for field in SEALED_FIELDS)
    return any(
        isinstance(value, str) for values in fields if isinstance(values, dict) for value in values.values()
    )


def _wrong_identity(value: Json) -> Problem | None:
    """What would keep an object from having a key. Everything else is for the schema to say."""
    for field, form in (("apiVersion", _API_VERSION), ("kind", _KIND)):
        found = value.get(field)
        if found is None:
            return Problem(
                field, f"{field}: Required value{_known_version(value) if field == 'apiVersion' else ''}"
            )
        if not isinstance(found, str) or not form.match(found):
            return Problem(field, f"{field}: found {_shown(found)}, which is none")
    meta = value.get("metadata")
    if not isinstance(meta, dict):
        return Problem("metadata", "metadata: Required value: with a name")
    name = meta.get("name")
    if name is None and meta.get("generateName"):
        return _unnamed(meta)
    for field, found in (("name", name), ("namespace", meta.get("namespace", DEFAULT_NAMESPACE))):
        if found is None:
            return Problem(f"metadata.{field}", f"metadata.{field}: Required value")
        if not isinstance(found, str):
            return Problem(
                f"metadata.{field}", f"metadata.{field}: found {_shown(found)}, wanted text: quote it"
            )
        if not _SAFE.match(found):
            return Problem(f"metadata.{field}", f"metadata.{field}: {_shown(found)} is no name")
    return None


def _known_version(value: Json) -> str:
    """What an object lacks that says its kind alone."""
    versions_of_kind = sorted({one.api_version for one in registry.ALL if one.kind == value.get("kind")})
    return f": {value['kind']} is of {' or '.join(versions_of_kind)}" if versions_of_kind else ""


def _unnamed(meta: Mapping[str, Json]) -> Problem:
    """Argo CD makes such an object anew for each run of a hook; whoever comes from there asks what to do."""
    field, annotations = "metadata.generateName", meta.get("annotations")
    what = f"{field}: an object in git needs a name of its own: state metadata.name"
    if isinstance(annotations, Mapping) and any(name in annotations for name in foreign.HOOKS):
        what += "; hooks are not run, so with a name it is applied once, with all else"
    return Problem(field, what)


def _cleaned(value: Json) -> KubeObject:
    """Without nulls, without what only a server sets, and without a status: a copy from a cluster may be committed."""
    obj = schema.without_nulls({name: part for name, part in value.items() if name != "status"})
    meta = {name: part for name, part in obj["metadata"].items() if name not in SERVER_FIELDS}
    return cast(KubeObject, {**obj, "metadata": meta})


def _broken(kind: Kind[Any], obj: KubeObject) -> Iterator[Problem]:
    violations = schema.violations(kind, obj)
    if violations:
        yield from violations
        return
    filled = kind.defaults(obj)
    yield from check_metadata(kind, filled)
    yield from kind.check(filled)
    yield from kind.check_create(filled)  # What git states is to be made, sooner or later.


def _field_of(warning: str) -> tuple[str, str]:
    """The field that a warning begins with, so that its line can be told."""
    return warning.partition(" ")[0].rstrip(":"), warning


def _shown(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
