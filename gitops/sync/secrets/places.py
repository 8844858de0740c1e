"""Where in a file something is wrong: errors of encrypted files name a field, and whoever has the text its line."""

from gitops.kinds.errors import Invalid

Path = tuple[str | int, ...]  # Keys and list indices from the root of a document.


class BadField(Invalid):
    """Something about one field. `document`: its position among the documents of the file, from 0."""

    def __init__(self, document: int, field: str, message: str) -> None:
        super().__init__(message)
        self.document, self.field = document, field


def shown(path: Path) -> str:
    """`stringData.password`, `items[2].name`: as Kubernetes writes fields, and as `position_of` takes them."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")


def bad_leaf(document: int, path: Path, what: str) -> BadField:
    """`stringData.password was changed …`."""
    return BadField(document, shown(path), f"{shown(path)} {what}")
