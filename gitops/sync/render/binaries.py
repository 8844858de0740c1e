"""Where kubectl and helm are, and exactly which: a render depends on the renderer as on its files."""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple

from gitops.kinds.errors import BadRequest, Unavailable
from gitops.sync.render.roots import Tool
from gitops.sync.render.sandbox import Sandbox

log = logging.getLogger(__name__)

_VERSION: Final[Mapping[Tool, tuple[str, ...]]] = {
    "kubectl": ("kubectl", "version", "--client", "--output=json"),
    "helm": ("helm", "version", "--template={{.Version}}"),
}


class Binary(NamedTuple):
    """`sha256` in hex, `version` in the tool's own words; `stamp` tells whether the file is still the same."""

    tool: Tool
    path: Path
    sha256: str
    version: str
    stamp: tuple[int, ...]


class Binaries:
    """Looks at the files again at each question, so that an upgrade needs no restart."""

    def __init__(self, folder: Path | None, beside: Path, sandbox: Sandbox) -> None:
        """`folder`: the operator's choice, where alone is looked; else in `beside`, then on PATH."""
        self._folder, self._beside, self._sandbox = folder, beside, sandbox
        self._known: dict[Tool, Binary] = {}
        self._lock = Lock()

    def find(self, tool: Tool) -> Binary:
        """BadRequest: there is none, or it does not run in the sandbox."""
        path = self._path(tool)
        with self._lock:
            known = self._known.get(tool)
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise BadRequest(f"{path}: {error.strerror}") from error
            try:
                stamp = _stamp(descriptor)
                if known is None or (known.path, known.stamp) != (path, stamp):
                    with os.fdopen(os.dup(descriptor), "rb") as opened:
                        digest = hashlib.file_digest(opened, "sha256").hexdigest()
                    known = Binary(tool, path, digest, self._version(tool, path, descriptor), stamp)
                    self._known[tool] = known
                    log.info("renderer found", extra={"fields": {"path": str(path), "version": known.version,
                                                                 "sha256": digest}})  # fmt: skip
            finally:
                os.close(descriptor)
            return known

    @contextmanager
    def opened(self, binary: Binary) -> Iterator[int]:
        """A descriptor of exactly that file. Unavailable: it was replaced; the next look takes the new one."""
        descriptor = os.open(binary.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if _stamp(descriptor) != binary.stamp:
                raise Unavailable(f"{binary.path} was replaced while rendering")
            yield descriptor
        finally:
            os.close(descriptor)

    def told(self) -> tuple[str, ...]:
        """What was used so far, a line each: for `gitward status`."""
        return tuple(
            f"{one.tool} {one.version} sha256:{one.sha256} {one.path}" for one in sorted(self._known.values())
        )

    def _path(self, tool: Tool) -> Path:
        if self._folder is not None:
            path = self._folder / tool
            if not path.is_file():
                raise BadRequest(f"{tool} is needed, and {self._folder} (--render-bin-dir) has none")
            return path
        if (self._beside / tool).is_file():
            return self._beside / tool
        found = shutil.which(tool)
        if found is None:
            raise BadRequest(
                f"{tool} is needed, and is neither in {self._beside} nor on PATH: install it, or name its folder with "
                "--render-bin-dir"
            )
        return Path(found).resolve()

    def _version(self, tool: Tool, path: Path, descriptor: int) -> str:
        end = self._sandbox.run(descriptor, _VERSION[tool], ())
        if end.status != 0:
            words = end.errors.decode(errors="replace").strip() or end.killed or f"it ends with {end.status}"
            raise BadRequest(f"{path} does not run in the sandbox: {words[:300]}")
        text = end.output.decode(errors="replace").strip()
        if tool == "helm":
            return text[:60]
        try:
            told = json.loads(text)
            return f"{told['clientVersion']['gitVersion']} (kustomize {told['kustomizeVersion']})"[:100]
        except (ValueError, KeyError, TypeError) as error:
            raise BadRequest(f"{path}: `kubectl version` gives no answer that makes sense") from error


def _stamp(descriptor: int) -> tuple[int, ...]:
    found = os.fstat(descriptor)
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
