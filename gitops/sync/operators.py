"""The sources that the operator names by flags and `gitward.yaml`: trusted as the operator is, and remembered.

A master that is started without them goes on following them, so they lie in the data directory, which nobody but the
operator writes. That an object bears the name of one proves nothing: it must say the same, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import orjson

from gitops.kinds.errors import BadRequest, Unavailable
from gitops.kinds.gitward import GitSource, GitSourceSpec

FILE: Final = "operator.json"
_FILES: Final = (
    "ssh_key_file",
    "known_hosts_file",
    "credentials_file",
    "allowed_signers_file",
    "gpg_keys_file",
)


@dataclass(frozen=True, slots=True)
class OperatorSource:
    """What the operator says of one source. The files are read at every look, so a new key needs no restart.

    None: what the user's own ssh configuration and git's credential helpers say; of signers: none are asked for.
    """

    spec: GitSourceSpec
    ssh_key_file: Path | None = None
    known_hosts_file: Path | None = None
    credentials_file: Path | None = None
    allowed_signers_file: Path | None = None
    gpg_keys_file: Path | None = None


def remember(sources: Path, named: Mapping[str, OperatorSource]) -> dict[str, OperatorSource]:
    """All that were ever named, the present ones as they are now. `sources`: a directory of ours."""
    known = {**_remembered(sources / FILE), **named}
    sources.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = orjson.dumps({name: _plain(source) for name, source in known.items()})
    new = sources / f"{FILE}.new"
    try:
        new.write_bytes(text)
        new.replace(sources / FILE)
    except OSError as error:
        raise Unavailable(f"{sources / FILE}: {error.strerror}") from error
    return known


def is_operators(source: GitSource, named: Mapping[str, OperatorSource]) -> bool:
    """Whether a source says what the operator says of it: then it may do what the operator may."""
    own = named.get(source["metadata"].get("name", ""))
    return own is not None and own.spec == source["spec"]


def _remembered(file: Path) -> dict[str, OperatorSource]:
    try:
        found = orjson.loads(file.read_bytes())
        return {name: _source(plain) for name, plain in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadRequest(
            f"{file}: cannot be read ({error}); remove it and name your sources again"
        ) from error


def _plain(source: OperatorSource) -> dict[str, Any]:
    files = {name: str(path) for name in _FILES if (path := getattr(source, name)) is not None}
    return {"spec": source.spec, **files}


def _source(plain: Mapping[str, Any]) -> OperatorSource:
    return OperatorSource(
        cast(GitSourceSpec, plain["spec"]), **{name: Path(plain[name]) for name in _FILES if name in plain}
    )
