"""Reads the type descriptions that a Go program carries for reflection: the fields of its structs with their tags.

For a statically linked 64-bit little-endian ELF program of Go 1.24 to 1.26. Source: internal/abi/type.go of Go.
"""

import struct
from pathlib import Path
from typing import Final, NamedTuple

_HEADER: Final = struct.Struct("<QQIBBBBQQii")  # abi.Type
_HEADER_BYTES: Final = 48
MAP: Final = 21
POINTER: Final = 22
SLICE: Final = 23
STRUCT: Final = 25
_BYTES: Final = {SLICE: 56, STRUCT: 80}  # Of the whole description, behind which the package stands.
_FIELD_BYTES: Final = 24


class GoType(NamedTuple):
    """`kind` is reflect.Kind; `name` has the package's path: `k8s.io/api/core/v1.Pod`, '' for an unnamed type and for
    what is neither struct nor slice."""

    at: int
    kind: int
    name: str


class GoField(NamedTuple):
    name: str
    tag: str
    type_at: int


class GoProgram:
    """One program; addresses are those in its memory."""

    def __init__(self, program: Path) -> None:
        self._bytes = program.read_bytes()
        sections = self._sections()
        self._base, self._offset, self._size = sections[".rodata"]
        _, links, size = sections[".typelink"]
        self._links = struct.unpack_from(f"<{size // 4}i", self._bytes, links)

    def structs(self) -> dict[str, int]:
        """Where each named struct is described, of those that a listed type leads to."""
        found: dict[str, int] = {}
        waiting = [self._base + link for link in self._links]
        seen: set[int] = set()
        while waiting:
            at = waiting.pop()
            if at in seen:
                continue
            seen.add(at)
            one = self.type(at)
            if one.kind in (POINTER, SLICE):
                waiting.append(self.element(at))
            elif one.kind == MAP:
                waiting.append(self.map_value(at))
            elif one.kind == STRUCT:
                found[one.name] = at
                waiting += [field.type_at for field in self.fields(at)]
        return found

    def type(self, at: int) -> GoType:
        place = self._place(at)
        header = _HEADER.unpack_from(self._bytes, place)
        flags, kind, text_at = header[3], header[6] & 31, header[9]
        text = self._name(self._offset + text_at)[0]
        name = text[1:] if flags & 2 else text
        if not flags & 1 or kind not in _BYTES:
            return GoType(at, kind, "")
        (package_at,) = struct.unpack_from("<i", self._bytes, place + _BYTES[kind])
        package = self._name(self._offset + package_at)[0] if package_at else ""
        return GoType(at, kind, f"{package}.{name.rpartition('.')[2]}" if package else "")

    def fields(self, at: int) -> tuple[GoField, ...]:
        first_at, count = struct.unpack_from("<QQ", self._bytes, self._place(at) + _HEADER_BYTES + 8)
        fields = []
        for index in range(count):
            place = self._place(first_at) + index * _FIELD_BYTES
            name_at, type_at = struct.unpack_from("<QQ", self._bytes, place)
            fields.append(GoField(*self._name(self._place(name_at)), type_at))
        return tuple(fields)

    def element(self, at: int) -> int:
        """Of a pointer, a slice, or (its key) a map."""
        found: int = struct.unpack_from("<Q", self._bytes, self._place(at) + _HEADER_BYTES)[0]
        return found

    def map_value(self, at: int) -> int:
        found: int = struct.unpack_from("<Q", self._bytes, self._place(at) + _HEADER_BYTES + 8)[0]
        return found

    def _place(self, at: int) -> int:
        assert self._base <= at < self._base + self._size, hex(at)
        return at - self._base + self._offset

    def _name(self, place: int) -> tuple[str, str]:
        """A name and its tag."""
        size, start = self._varint(place + 1)
        name = self._bytes[start : start + size].decode()
        if not self._bytes[place] & 2:
            return name, ""
        tag_size, tag_start = self._varint(start + size)
        return name, self._bytes[tag_start : tag_start + tag_size].decode()

    def _varint(self, place: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte = self._bytes[place]
            place += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value, place

    def _sections(self) -> dict[str, tuple[int, int, int]]:
        """Address, offset in the file and size of each."""
        (table,) = struct.unpack_from("<Q", self._bytes, 40)
        entry_bytes, count, names_index = struct.unpack_from("<HHH", self._bytes, 58)
        entries = [struct.unpack_from("<IIQQQQ", self._bytes, table + i * entry_bytes) for i in range(count)]
        names = entries[names_index][4]
        return {
            self._bytes[names + entry[0] : self._bytes.index(b"\0", names + entry[0])].decode(): entry[3:6]
            for entry in entries
        }
