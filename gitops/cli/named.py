"""What people call kinds and objects: `deploy/web`, `deployments.apps`, `po`. As kubectl takes it."""

from typing import Any, NamedTuple

from gitops.cli.usage import WrongUsage
from gitops.kinds import registry
from gitops.kinds.kind import Kind


class Named(NamedTuple):
    """`name` '': all of the kind."""

    kind: Kind[Any]
    name: str


def named(text: str, name: str = "") -> Named:
    """`KIND/NAME`, or KIND and NAME by themselves. Raises WrongUsage."""
    word, slash, inside = text.partition("/")
    if slash and (name or not inside or "/" in inside):
        raise WrongUsage(f"found {f'{text} {name}'.strip()!r}, wanted KIND/NAME or KIND NAME")
    return Named(_kind(word), inside or name)


def one_named(text: str) -> Named:
    """`KIND/NAME`. Raises WrongUsage."""
    found = named(text)
    if not found.name:
        raise WrongUsage(f"found {text!r}, wanted KIND/NAME")
    return found


def params_of(found: Named, namespace: str) -> dict[str, str]:
    """How the API is asked for it."""
    asked = {"resource": found.kind.resource, "name": found.name}
    if found.kind.namespaced:
        asked["namespace"] = namespace
    return {key: value for key, value in asked.items() if value}


def _kind(word: str) -> Kind[Any]:
    wanted = word.lower()
    for kind in registry.ALL:
        names = (kind.plural, kind.singular, *kind.short)
        if wanted in names or any(wanted == f"{name}.{kind.group}" for name in names[:2]):
            return kind
    raise WrongUsage(f"found {word!r}, which is no kind that is served: see `kubectl api-resources`")
