"""A cluster of one node that follows a repository with one manifest, for one test."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import docker

import images
from gitops.cli.bench.cluster import Cluster

WAIT_SECONDS_MAX = 60


@contextmanager
def following(folder: Path, manifest: str) -> Iterator[Cluster]:
    """From its start to its `down`, with the end of its log told."""
    images.load(docker.from_env(timeout=120))
    cluster = Cluster(folder)
    cluster.commit({"app.yaml": manifest}, "start")
    cluster.start()
    try:
        yield cluster
    finally:
        if cluster.process is not None and cluster.process.poll() is None:
            cluster.stop()
        cluster.down()
        print(cluster.log.read_text()[-6_000:])


def eventually(holds: Callable[[], bool], what: Callable[[], object]) -> None:
    """`what`: is told when it never does."""
    end = time.monotonic() + WAIT_SECONDS_MAX
    while not holds():
        assert time.monotonic() < end, what()
        time.sleep(0.1)
