"""`gitward bench render`: a hundred overlays at the first commit, and a commit that touches one of them.

Ours is all that a look does for it: plan, confined render, and reading what came out. The floor is the bare binary,
`kubectl kustomize`, over the same files on disk: once for each overlay, and for the one that was touched.
"""

import hashlib
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Final

from gitops.kinds.errors import GitwardError, Invalid
from gitops.sync.render.renderer import Renderer
from gitops.sync.render.roots import renders
from gitops.sync.render.tree import CommitTree
from gitops.sync.secrets.leaves import Sealed
from gitops.sync.source import BLOB, Entry
from gitops.sync.zygote import Parser

GOAL_FIRST_MAX: Final = 1.5
GOAL_ONE_MAX: Final = 2.0
_BASE: Final = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: web:1}]}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""


def run_bench(*, apps: int, runs: int, bin_dir: Path | None) -> None:
    """Print two ratios. BadRequest: there is no kubectl."""
    firsts, ones, counted = [], [], 0
    for number in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            files = _files(apps)
            changed = {**files, "app0/patch.yaml": _patch(0, 7 + number)}
            first, one, counted, kubectl = _ours(Path(folder) / "data", files, changed, bin_dir)
            _write(Path(folder) / "files", changed)
            every = _floor(kubectl, Path(folder) / "files", [f"app{app}" for app in range(apps)])
            single = median(_floor(kubectl, Path(folder) / "files", ["app0"]) for _ in range(5))
        firsts.append((first, every))
        ones.append((one, single))
    _print(f"{apps} overlays at first", firsts, GOAL_FIRST_MAX)
    _print(f"one of {apps} overlays touched ({counted} rendered)", ones, GOAL_ONE_MAX)


def _ours(
    data_dir: Path, files: Mapping[str, str], changed: Mapping[str, str], bin_dir: Path | None
) -> tuple[float, float, int, Path]:
    """Seconds of the first commit and of the second, how many were rendered at the second, and which kubectl it was."""
    parser = Parser(data_dir / "empty")
    renderer = Renderer(parser, data_dir, bin_dir)
    try:
        parser.start()
        _render(renderer, {"warm/kustomization.yaml": "resources: []\nnamespace: x\n"})
        first = _render(renderer, files)
        before = renderer.runs
        one = _render(renderer, changed)
        return first, one, renderer.runs - before, renderer.path_of("kubectl")
    finally:
        renderer.close()
        parser.close()


def _render(renderer: Renderer, files: Mapping[str, str]) -> float:
    contents = {
        hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(): text.encode()
        for text in files.values()
    }
    entries = [
        Entry(path, BLOB[0], hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(), len(text))
        for path, text in files.items()
    ]
    began = time.perf_counter()
    tree = CommitTree(entries, lambda ids: [(one, contents[one]) for one in ids])
    rendered = renderer.render(renderer.planner().jobs(renders(files), tree), tree, _no_key)
    seconds = time.perf_counter() - began
    for one in rendered:
        for problem in one.problems:
            raise GitwardError(problem)
    return seconds


def _floor(kubectl: Path, folder: Path, apps: list[str]) -> float:
    began = time.perf_counter()
    for app in apps:
        subprocess.run([kubectl, "kustomize", folder / app], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _files(apps: int) -> dict[str, str]:
    files: dict[str, str] = {"base/kustomization.yaml": "resources: [web.yaml]\n", "base/web.yaml": _BASE}
    for app in range(apps):
        files[f"app{app}/kustomization.yaml"] = (
            f"namespace: app{app}\nresources: [../base]\npatches: [{{path: patch.yaml}}]\n"
        )
        files[f"app{app}/patch.yaml"] = _patch(app, 1)
    return files


def _patch(app: int, replicas: int) -> str:
    return (
        f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web, labels: {{app: app{app}}}}}\n"
        f"spec: {{replicas: {replicas}}}\n"
    )


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def _print(name: str, pairs: list[tuple[float, float]], goal_max: float) -> None:
    ours, floor = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
    print(f"{name}: {ours:.3f} s, floor {floor:.3f} s, ratio {ours / floor:.2f} (goal <= {goal_max})")


def _no_key(sealed: Sealed) -> bytes:
    raise Invalid("nothing here is encrypted")
