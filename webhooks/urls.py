"""Whether two URLs name the same repository: `git@h:o/r`, `ssh://git@h/o/r.git` and `https://h/o/r/` do."""

import re
from typing import Final
from urllib.parse import unquote, urlsplit

URL_CHARACTERS_MAX: Final = 2048
_SCP: Final = re.compile(r"(?:[\w.-]+@)?(?P<host>[\w.-]+):(?!//)(?P<path>.+)\Z")
_AZURE_SSH: Final = "ssh."  # ssh.dev.azure.com/v3/org/project/repo is dev.azure.com/org/project/_git/repo.


def same_repository(one: str, other: str) -> bool:
    """Host (lower case) and path are compared; scheme, user, port, `.git` and a trailing slash are not."""
    return len(one) <= URL_CHARACTERS_MAX and _normal(one) == _normal(other)


def _normal(url: str) -> tuple[str, str]:
    if "://" not in url and (match := _SCP.match(url)):
        host, path = match["host"], match["path"]
    else:
        try:
            parts = urlsplit(url)
            host, path = parts.hostname or "", parts.path
        except ValueError:
            return "", url
    host, path = host.lower(), unquote(path).strip("/").removesuffix(".git")
    if host == f"{_AZURE_SSH}dev.azure.com":
        host, path = "dev.azure.com", path.removeprefix("v3/")
    if host == "dev.azure.com":
        path = path.replace("/_git/", "/")
    # Bitbucket Data Center: https://h/scm/p/r is ssh://h/p/r; paths are compared as it does, without case.
    return host, path.removeprefix("scm/").lower() if path.startswith("scm/") else path
