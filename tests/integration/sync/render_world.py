"""Renders of files in memory, by the real kubectl and helm in the real sandbox."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gitops.kinds.errors import Invalid
from gitops.sync.render.renderer import Rendered, Renderer
from gitops.sync.render.roots import renders
from gitops.sync.render.tree import CommitTree
from gitops.sync.render.unseal import VerifiedKey
from gitops.sync.secrets.leaves import Sealed
from gitops.sync.source import BLOB, LINK, Entry
from gitops.sync.zygote import Parser
from tests.tools.kubectl import renderers

DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: web:1}]
"""
CHART = "apiVersion: v2\nname: web\nversion: 1.0.0\n"
TEMPLATE = """apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}"}
data: {colour: "{{ .Values.colour }}"}
"""


class Link(str):
    """Where a symbolic link points to."""


def no_key(sealed: Sealed) -> bytes:
    raise Invalid("there is no key in this test")


class World:
    """A renderer, and repositories given as path -> text."""

    def __init__(self, renderer: Renderer) -> None:
        self.renderer, self.planner = renderer, renderer.planner()

    def render(self, files: Mapping[str, str | bytes], verified_key: VerifiedKey = no_key) -> list[Rendered]:
        tree = tree_of(files)
        jobs = self.planner.jobs(renders(entry.path for entry in tree.below("") if entry.mode in BLOB), tree)
        return self.renderer.render(jobs, tree, verified_key)

    def one(self, files: Mapping[str, str | bytes], verified_key: VerifiedKey = no_key) -> Rendered:
        (rendered,) = self.render(files, verified_key)
        return rendered


def tree_of(files: Mapping[str, str | bytes]) -> CommitTree:
    contents = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
    ids = {path: hashlib.sha1(content).hexdigest() for path, content in contents.items()}
    blobs = {ids[path]: content for path, content in contents.items()}
    entries = [
        Entry(path, LINK if isinstance(files[path], Link) else BLOB[0], ids[path], len(content))
        for path, content in contents.items()
    ]

    def read(wanted: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        return ((one, blobs[one]) for one in wanted)

    return CommitTree(entries, read)


def values(rendered: Rendered) -> list[Any]:
    """The objects of a render that went well."""
    assert rendered.problems == ()
    assert rendered.file is not None
    return [document.value for document in rendered.file.parsed.documents]


@contextmanager
def world(tmp_path: Path, bin_dir: Path | None = None) -> Iterator[World]:
    parser = Parser(tmp_path / "empty")
    renderer = Renderer(parser, tmp_path, bin_dir or renderers())
    try:
        yield World(renderer)
    finally:
        renderer.close()
        parser.close()
