"""What the rest of Gitward knows of a kind: its names, its shape, its defaults, its rules and its table."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, NamedTuple

from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, T, group_of


class Problem(NamedTuple):
    """A broken rule: `field` is a path such as `spec.containers[0].name`; `message` is Kubernetes' own wording
    where it has one (`Required value`, `Invalid value: -1: must be …`), else says what was found and is wanted."""

    field: str
    message: str


class Column(NamedTuple):
    """A column of `kubectl get`: priority 0 is always shown, 1 only by `-o wide`."""

    name: str
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0


Cell = str | int | bool | None


def _no_defaults(obj: T) -> T:
    return obj


def _no_problems(*_: object) -> Iterator[Problem]:
    return iter(())


def _no_warnings(_: object) -> Iterator[str]:
    return iter(())


class Part(NamedTuple):
    """A subresource that writes one part of its object."""

    take: Callable[[Any, Any], Any]  # Old and new -> the old object with that part of the new one.
    check: Callable[[Any, Any], Iterator[Problem]]  # What of this may not be; instead of `check_update`.


@dataclass(frozen=True, slots=True, eq=False)
class Kind(Generic[T]):
    """One served kind. Constants such as `POD` are its only instances; they are compared by identity.

    Attributes:
        shape: the TypedDict of the fields that Gitward acts on; None: stored and shown, not acted on yet.
        defaults: pure; returns the object with Kubernetes' defaults filled in, sharing what did not change.
        check: every broken rule of one object; shape (types, unknown fields) was checked before by the schema.
        check_update: what may not change from the first to the second.
        check_create: what a new object may not have, though a later one may.
        warn: what is to be told of an object that is valid, as it was written: before defaulting.
        parts: subresources that write one part of the object each, by name.
        cells: the row of the table for `columns`, given the object and the present time.
        field_selectors: paths that `fieldSelector` may name besides metadata.name and metadata.namespace.
    """

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    shape: Any = None  # A TypedDict class: Python's typing has no name for "any TypedDict type".
    defaults: Callable[[T], T] = _no_defaults
    check: Callable[[T], Iterator[Problem]] = _no_problems
    check_update: Callable[[T, T], Iterator[Problem]] = _no_problems
    check_create: Callable[[T], Iterator[Problem]] = _no_problems
    warn: Callable[[T], Iterator[str]] = _no_warnings
    parts: Mapping[str, Part] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    cells: Callable[[T, datetime], tuple[Cell, ...]] | None = None
    field_selectors: tuple[str, ...] = ()
    verbs: tuple[str, ...] = field(
        default=("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
    )

    @property
    def group(self) -> str:
        return group_of(self.api_version)

    @property
    def version(self) -> str:
        return self.api_version.rpartition("/")[2]

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def resource(self) -> str:
        """`deployments.apps`, as kubectl and error messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def key(self, namespace: str, name: str) -> Key:
        return Key(self.group, self.kind, namespace if self.namespaced else "", name)

    def owns(self, obj: KubeObject) -> bool:
        """Whether `obj` is of this kind, whatever its version."""
        return obj["kind"] == self.kind and group_of(obj["apiVersion"]) == self.group
