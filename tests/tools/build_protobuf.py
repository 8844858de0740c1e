"""Makes `gitops/api/protobuf.json.gz`: names, numbers and types of the fields of Kubernetes' messages, no more.

They stand in the types' tags (`protobuf:"bytes,1,opt,name=metadata"`), which the pinned kubectl carries for reflection:
exactly those of its version. The same program gives the same bytes. Run: `python tests/tools/build_protobuf.py`.
"""

import gzip
import json
import re
from pathlib import Path
from typing import Any, Final

from gitops.kinds import registry
from tests.tools.build_schemas import UNSTORED
from tests.tools.go_types import MAP, POINTER, SLICE, STRUCT, GoField, GoProgram
from tests.tools.kubectl import WHEEL, kubectl

TARGET: Final = Path(__file__).parents[2] / "gitops" / "api" / "protobuf.json.gz"
ORIGIN: Final = (
    "k8s.io/api and k8s.io/apimachinery of Kubernetes 1.35, Apache-2.0, https://www.apache.org/licenses/"
)
META: Final = "k8s.io/apimachinery/pkg/apis/meta/v1"
ALSO: Final = (("", "v1", "DeleteOptions"), ("autoscaling", "v1", "HorizontalPodAutoscaler"),
               ("events.k8s.io", "v1", "Event"))  # fmt: skip
# Their wire form is their own, and so is their JSON.
SPECIAL: Final = {
    f"{META}.Time": "time",
    f"{META}.MicroTime": "microtime",
    f"{META}.FieldsV1": "fields",
    "k8s.io/apimachinery/pkg/api/resource.Quantity": "quantity",
    "k8s.io/apimachinery/pkg/util/intstr.IntOrString": "int-or-string",
    "k8s.io/apimachinery/pkg/runtime.RawExtension": "raw",
}
SCALARS: Final = {
    1: "bool",
    2: "int",
    5: "int",
    6: "int",
    8: "byte",
    10: "int",
    11: "int",
    14: "double",
    24: "string",
}


class Table:
    """Messages by their Go names, filled from the roots on."""

    def __init__(self, program: GoProgram) -> None:
        self._program = program
        self._structs = program.structs()
        self.messages: dict[str, dict[str, Any]] = {}

    def add(self, name: str) -> str:
        """The message's name in the table."""
        if name not in self.messages:
            fields: dict[str, Any] = {}
            self.messages[name] = fields
            for field in self._program.fields(self._structs[name]):
                if found := re.search(r'protobuf:"\w+,(\d+),', field.tag):
                    fields[found[1]] = self._field(field)
        return name

    def _field(self, field: GoField) -> list[str]:
        """JSON's name ('' where its fields stand in the one above), the type, and how often and when it is shown."""
        json_tag = re.search(r'json:"([^"]*)"', field.tag)
        assert json_tag is not None, field
        name, *options = json_tag[1].split(",")
        one = self._program.type(field.type_at)
        if one.kind == MAP:
            return [name, self._type(self._program.map_value(field.type_at)), "map"]
        if one.kind == SLICE and not one.name:
            element = self._type(self._program.element(field.type_at))
            return [name, *(("bytes", "unless-empty") if element == "byte" else (element, "list"))]
        # Go shows a struct however empty it is; but port 0 as the target of a service says "not set".
        is_shown = one.kind in (POINTER, STRUCT) and not one.name.endswith(".IntOrString")
        is_hidden = "omitempty" in options and not is_shown
        return [name, self._type(field.type_at), "unless-empty" if is_hidden else "one"]

    def _type(self, at: int) -> str:
        one = self._program.type(at)
        if one.kind == POINTER:
            return self._type(self._program.element(at))
        if one.kind == SLICE:
            element = self._type(self._program.element(at))
            if element == "byte":
                return "bytes"
            self.messages[one.name] = {
                "1": ["", element, "list"]
            }  # `ExtraValue`: a list as a message, for maps.
            return one.name
        if one.kind == STRUCT:
            return SPECIAL.get(one.name) or self.add(one.name)
        return SCALARS[one.kind]


def build(program: GoProgram) -> dict[str, Any]:
    table, kinds = Table(program), {}
    served = [(kind.group, kind.version, kind.kind) for kind in registry.ALL]
    for group, version, kind in sorted({*served, *UNSTORED, *ALSO}):
        package = (
            META if kind == "DeleteOptions" else f"k8s.io/api/{group.partition('.')[0] or 'core'}/{version}"
        )
        if group in ("gitward.io", "apiextensions.k8s.io", "apiregistration.k8s.io"):
            continue  # Never sent as protobuf, or not by kubectl, which does not know their types.
        kinds[f"{group}/{version}/{kind}"] = table.add(f"{package}.{kind}")
    ids = {name: index for index, name in enumerate(sorted(table.messages))}
    messages = [
        {
            number: [field, ids.get(kind, kind), how]
            for number, (field, kind, how) in table.messages[name].items()
        }
        for name in ids
    ]
    return {"origin": ORIGIN, "by": WHEEL, "kinds": {name: ids[one] for name, one in kinds.items()},
            "messages": messages}  # fmt: skip


if __name__ == "__main__":
    text = json.dumps(build(GoProgram(kubectl())), sort_keys=True, separators=(",", ":"))
    TARGET.write_bytes(gzip.compress(text.encode(), mtime=0))
