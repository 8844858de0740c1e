"""Lines of fields, found by reading a text a second time: errors are rare, and positions are not free."""

from typing import Any

from yaml import events

from gitops.kinds.yaml.text import Unreadable, decoded, line_of, read_events


def position_of(text: str | bytes, index: int, path: str) -> int | None:
    """The line, from 1, of a field such as `spec.containers[0].image` in document `index`; if the field itself is not
    there, of the nearest field above it. None if the text cannot be read that far (JSON that YAML does not accept)."""
    return nearest_line(lines_of(text, index), path)


def nearest_line(lines: dict[str, int], path: str) -> int | None:
    """As `position_of`, given what `lines_of` gave."""
    while path and path not in lines:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return lines.get(path)


def lines_of(text: str | bytes, index: int) -> dict[str, int]:
    """Field path -> line of everything in document `index`. A key is found as `a.key` and as `a[key]`, as Kubernetes
    writes keys of labels and annotations. Aliases are not followed."""
    lines: dict[str, int] = {}
    stack: list[_Place] = []
    document = -1
    try:
        for event in read_events(decoded(text, ""), ""):
            if type(event) is events.DocumentStartEvent:
                document += 1
            elif document == index:
                _record(event, stack, lines)
            elif document > index:
                break
    except Unreadable:
        pass  # What was read before the error still holds; the error itself was told by `load`.
    return lines


class _Place:
    """Where `lines_of` is within an open mapping or sequence. `count`: the next item's number, None in a mapping."""

    __slots__ = ("count", "key_line", "next", "paths")

    def __init__(self, paths: tuple[str, ...], count: int | None) -> None:
        self.paths, self.count = paths, count
        self.next: tuple[str, ...] | None = None
        self.key_line = 0


def _record(event: Any, stack: list[_Place], lines: dict[str, int]) -> None:
    kind = type(event)
    if kind is events.MappingEndEvent or kind is events.SequenceEndEvent:
        stack.pop()
        return
    if not isinstance(event, events.NodeEvent):
        return
    top = stack[-1] if stack else None
    line = line_of(event)
    if top is not None and top.count is None and top.next is None:
        key = str(getattr(event, "value", ""))
        top.next = tuple(
            path for base in top.paths for path in ((f"{base}.{key}" if base else key), f"{base}[{key}]")
        )
        top.key_line = line
        return
    paths: tuple[str, ...] = ("",)
    if top is not None and top.count is not None:
        paths = tuple(f"{base}[{top.count}]" for base in top.paths)
        top.count += 1
    elif top is not None:
        assert top.next is not None
        # The key's line: that is what an editor shows for the field, and a block's value begins below it.
        paths, line, top.next = top.next, top.key_line, None
    for path in paths:
        lines.setdefault(path, line)
    if kind is events.MappingStartEvent:
        stack.append(_Place(paths[:1], None))
    elif kind is events.SequenceStartEvent:
        stack.append(_Place(paths[:1], 0))
