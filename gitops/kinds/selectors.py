"""Label and field selectors: those inside objects, and the texts that `labelSelector=` and `fieldSelector=` carry.

Source: Kubernetes, "Labels and selectors" and "Field selectors". A null selector matches nothing, `{}` everything.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, NotRequired, TypedDict

from gitops.kinds.errors import BadRequest
from gitops.kinds.objects import KubeObject


class LabelSelectorRequirement(TypedDict):
    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: NotRequired[list[str]]


class LabelSelector(TypedDict):
    matchLabels: NotRequired[dict[str, str]]
    matchExpressions: NotRequired[list[LabelSelectorRequirement]]


Operator = Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]


class Requirement(NamedTuple):
    """One condition on one label; `values` is empty for Exists and DoesNotExist and has one number for Gt and Lt."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        found = labels.get(self.key)
        match self.operator:
            case "In":
                return found in self.values
            case "NotIn":
                return found not in self.values
            case "Exists":
                return found is not None
            case "DoesNotExist":
                return found is None
        try:
            difference = int(found or "") - int(self.values[0])
        except ValueError:
            return False
        return difference > 0 if self.operator == "Gt" else difference < 0


@dataclass(frozen=True, slots=True)
class Requirements:
    """A parsed label selector: all must hold; none means everything."""

    all: tuple[Requirement, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.all)

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.matches(labels) for requirement in self.all)


def matches(selector: LabelSelector | None, labels: Mapping[str, str]) -> bool:
    """Whether a selector that stands in an object selects something with these labels."""
    if selector is None:
        return False
    if (wanted := selector.get("matchLabels")) and not wanted.items() <= labels.items():
        return False
    expressions = selector.get("matchExpressions")
    return not expressions or all(
        Requirement(one["key"], one["operator"], tuple(one.get("values") or ())).matches(labels)
        for one in expressions
    )


def matches_map(selector: Mapping[str, str] | None, labels: Mapping[str, str]) -> bool:
    """As `matches`, for the plain maps of Services and nodeSelector; None and {} both select nothing."""
    return bool(selector) and (selector or {}).items() <= labels.items()


def to_text(selector: LabelSelector | None) -> str:
    """As kubectl prints it and `labelSelector=` takes it; `<none>` for nothing to match."""
    if selector is None:
        return "<none>"
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for one in selector.get("matchExpressions") or ():
        values = ",".join(sorted(one.get("values") or ()))
        match one["operator"]:
            case "In":
                parts.append(f"{one['key']} in ({values})")
            case "NotIn":
                parts.append(f"{one['key']} notin ({values})")
            case "Exists":
                parts.append(one["key"])
            case "DoesNotExist":
                parts.append(f"!{one['key']}")
    return ",".join(parts) or "<none>"


_KEY: Final = r"(?P<key>(?:[a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)"
_VALUE: Final = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
_FORMS: Final = tuple(
    re.compile(rf"\s*{form}\s*\Z")
    for form in (
        rf"{_KEY}\s+(?P<set>in|notin)\s*\((?P<values>[^()]*)\)",
        rf"{_KEY}\s*(?P<equal>==|=|!=)\s*(?P<value>{_VALUE})",
        rf"{_KEY}\s*(?P<compare>[<>])\s*(?P<number>-?\d+)",
        rf"(?P<absent>!?)\s*{_KEY}",
    )
)
_COMMA: Final = re.compile(r",(?![^()]*\))")


def parse(text: str) -> Requirements:
    """The value of `labelSelector=`. Raises BadRequest, naming the part that cannot be read."""
    if not text.strip():
        return Requirements()
    return Requirements(tuple(_requirement(part) for part in _COMMA.split(text)))


def _requirement(part: str) -> Requirement:
    found = next((match for form in _FORMS if (match := form.match(part))), None)
    if found is None:
        raise BadRequest(
            f"unable to parse requirement: found {part.strip()!r}, expected: key, !key, key=value, key!=value, "
            "key in (a,b), key notin (a,b), key>number or key<number"
        )
    group = found.groupdict()
    key: str = found["key"]
    if group.get("set"):
        values = tuple(value.strip() for value in found["values"].split(","))
        bad = next((value for value in values if not re.fullmatch(_VALUE, value)), None)
        if bad is not None:
            raise BadRequest(f"unable to parse requirement: values: Invalid value: {bad!r} for label {key!r}")
        return Requirement(key, "In" if found["set"] == "in" else "NotIn", values)
    if group.get("equal"):
        return Requirement(key, "NotIn" if found["equal"] == "!=" else "In", (found["value"],))
    if group.get("compare"):
        return Requirement(key, "Gt" if found["compare"] == ">" else "Lt", (found["number"],))
    return Requirement(key, "DoesNotExist" if found["absent"] else "Exists")


class FieldRequirement(NamedTuple):
    path: str  # spec.nodeName
    equal: bool
    value: str

    def matches(self, obj: KubeObject) -> bool:
        return (field_value(obj, self.path) == self.value) == self.equal


@dataclass(frozen=True, slots=True)
class FieldRequirements:
    """A parsed field selector: all must hold; none means everything."""

    all: tuple[FieldRequirement, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.all)

    def matches(self, obj: KubeObject) -> bool:
        return all(requirement.matches(obj) for requirement in self.all)

    def value_of(self, path: str) -> str | None:
        """What `path` must equal, where the selector says so: lets a list go to an index instead of a scan."""
        return next((one.value for one in self.all if one.path == path and one.equal), None)

    def renamed(self, tops: Mapping[str, str]) -> "FieldRequirements":
        """With other names for the first parts of its paths."""
        split = ((one, *one.path.partition(".")) for one in self.all)
        return FieldRequirements(
            tuple(one._replace(path=f"{tops.get(top, top)}{dot}{rest}") for one, top, dot, rest in split)
        )

    def check(self, supported: tuple[str, ...]) -> None:
        """Raises BadRequest for a path that is not in `supported` (a kind's `field_selectors`)."""
        for one in self.all:
            if one.path not in ("metadata.name", "metadata.namespace", *supported):
                raise BadRequest(f"field label not supported: {one.path}")


_FIELD: Final = re.compile(r"(?P<path>[^=!]+)(?P<equal>==|=|!=)(?P<value>.*)\Z", re.DOTALL)
_FIELD_COMMA: Final = re.compile(r"(?<!\\),")


def parse_fields(text: str) -> FieldRequirements:
    """The value of `fieldSelector=`: `a=b`, `a==b`, `a!=b`, joined by commas; `\\` escapes in a value."""
    found: list[FieldRequirement] = []
    for part in _FIELD_COMMA.split(text):
        if not part.strip():
            continue
        match = _FIELD.match(part.strip())
        if match is None:
            raise BadRequest(
                f"invalid selector: {part.strip()!r}; can't understand it, expected path=value or path!=value"
            )
        value = re.sub(r"\\([\\,=])", r"\1", match["value"])
        found.append(FieldRequirement(match["path"].strip(), match["equal"] != "!=", value))
    return FieldRequirements(tuple(found))


# What Kubernetes' selectable fields are when they are left out, where that is not the empty text.
_ABSENT: Final = {
    "spec.unschedulable": "false",
    "spec.hostNetwork": "false",
    "status.replicas": "0",
    "status.successful": "0",
}
# Selectable names that differ from the path in the object.
_PLACES: Final = {"status.successful": "status.succeeded", "source": "source.component"}


def field_value(obj: KubeObject, path: str) -> str:
    """The text that a field selector compares with."""
    node: Any = obj
    for step in _PLACES.get(path, path).split("."):
        node = node.get(step) if isinstance(node, Mapping) else None
    if node is None:
        return _ABSENT.get(path, "")
    return str(node).lower() if isinstance(node, bool) else str(node)
