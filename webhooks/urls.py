"""Whether two URLs name the same repository: `git@h:o/r`, `ssh://git@h/o/r.git` and `https://h/o/r/` do."""

import re
from typing import Final
from urllib.parse import unquote, urlsplit

_SCP: Final = re.compile(r"^(?:[\w.-]+@)?(?P<host>[\w.-]+):(?!//)(?P<path>.+)$")


def same_repository(one: str, other: str) -> bool:
    """Host (lower case) and path are compared; scheme, user, port, `.git` and a trailing slash are not."""
    return _normal(one) == _normal(other)


def _normal(url: str) -> tuple[str, str]:
    if "://" not in url and (match := _SCP.match(url)):
        host, path = match["host"], match["path"]
    else:
        try:
            parts = urlsplit(url)
            host, path = parts.hostname or "", parts.path
        except ValueError:
            return "", url
    return host.lower(), unquote(path).strip("/").removesuffix(".git")
