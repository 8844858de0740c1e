"""The image of `bench node`: one program that waits and ends at SIGTERM, and busybox for what asks and answers."""

import io
import tarfile
from pathlib import Path
from typing import Final

import docker

from agent.runtime.pause import elf

IMAGE: Final = "gitward.example/bench-node:1"
COMMAND: Final = (
    "/pause",
)  # Ends at once at SIGTERM: what is measured is the orchestrator, not a grace period.


def load_bench_image(engine: docker.DockerClient) -> None:
    """Made here of this machine's own busybox; nothing is pulled."""
    architectures = {"x86_64": "amd64", "aarch64": "arm64"}
    found = str(engine.info()["Architecture"])
    files = {
        "pause": elf(architectures.get(found, found)),
        "bin/busybox": Path("/bin/busybox").read_bytes(),
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    name, _, tag = IMAGE.partition(":")
    engine.api.import_image_from_data(buffer.getvalue(), repository=name, tag=tag)
