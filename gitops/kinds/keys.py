"""Identity: `Key` names an object wherever it is declared or stored; `Origin` says where in git it was stated."""

from typing import Final, NamedTuple

CORE: Final = ""  # The API group of v1, as Kubernetes writes it.


class Key(NamedTuple):
    """Group, kind, namespace and name: never the version, file or app. Cluster-scoped: namespace is ''.

    Sorts by its text, not as a tuple: that is etcd's byte order ("a-b/x" < "a/x").
    """

    group: str
    kind: str
    namespace: str
    name: str

    @property
    def text(self) -> str:
        """The storage key: `group/kind/namespace/name`."""
        return f"{self.group}/{self.kind}/{self.namespace}/{self.name}"

    @staticmethod
    def of_text(text: str) -> "Key":
        """The inverse of `text`. Names hold no slash, so the split is exact."""
        group, kind, namespace, name = text.split("/", 3)
        return Key(group, kind, namespace, name)

    def __lt__(self, other: tuple[str, ...]) -> bool:
        return self.text < Key(*other).text

    def __str__(self) -> str:
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind}{'.' + self.group if self.group else ''} {place}"


class Origin(NamedTuple):
    """A place in a repository: path from its root, line from 1, and the commit's full id ('' outside git)."""

    file: str
    line: int
    commit: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" + (f" @ {self.commit[:7]}" if self.commit else "")
