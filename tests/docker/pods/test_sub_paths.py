"""What a container's subPath is after its restarts, and what is never removed with a pod: with real mounts."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from agent.volumes import mounts, trees
from agent.volumes.downward import Surroundings
from agent.volumes.references import TokenWanted
from agent.volumes.volumes import PodVolumes
from gitops.kinds.core.config import ConfigMap, Secret
from gitops.kinds.core.pod import Pod
from gitops.kinds.sensitive import Sensitive
from tests.agent_world import a_pod

AROUND = Surroundings("n", "192.0.2.1", "", {})


class Known:
    """One ConfigMap, of any name."""

    def __init__(self, colour: str) -> None:
        self.colour = colour

    def config_map(self, namespace: str, name: str) -> ConfigMap | None:
        body: Any = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        return cast(ConfigMap, {**body, "data": {"colour": self.colour}})

    def secret(self, namespace: str, name: str) -> Secret | None:
        return None

    def token(self, wanted: TokenWanted) -> Sensitive | None:
        return None


def a_mounting_pod(volume: dict[str, Any], sub_path: str) -> Pod:
    mount = {"name": "v", "mountPath": "/v", "subPath": sub_path}
    app = {"name": "app", "image": "shop:1", "volumeMounts": [mount]}
    return a_pod(containers=[app], volumes=[{"name": "v", **volume}])


@pytest.fixture
def volumes(docker_host: str, tmp_path: Path) -> Iterator[PodVolumes]:
    """Under a name that is not ASCII, as an operator's data directory may be."""
    assert docker_host  # Whoever has an engine of its own here has mounts of its own too.
    root = tmp_path / "données et plus"
    yield PodVolumes(root / "pods")
    for point in mounts.mounts_under(tmp_path):
        mounts.unmount(point)


def bound(volumes: PodVolumes, pod: Pod, attempt: int) -> Path:
    found = asyncio.run(volumes.mounts(pod, pod["spec"]["containers"][0], {}, attempt=attempt))
    return Path(found[0].source)


def test_a_container_that_restarts_adds_no_mount(volumes: PodVolumes, tmp_path: Path) -> None:
    pod = a_mounting_pod({"emptyDir": {}}, "data")
    asyncio.run(volumes.ensure(pod, Known("red"), AROUND))

    places = {bound(volumes, pod, attempt) for attempt in range(5)}

    assert len(places) == 1
    assert len(list(mounts.mounts_under(tmp_path))) == 1
    asyncio.run(volumes.remove("uid-web"))
    assert list(mounts.mounts_under(tmp_path)) == []


def test_a_container_that_restarts_sees_what_its_config_map_says_now(volumes: PodVolumes) -> None:
    pod = a_mounting_pod({"configMap": {"name": "paint"}}, "colour")
    known = Known("red")
    asyncio.run(volumes.ensure(pod, known, AROUND))
    first = bound(volumes, pod, 0).read_text()
    known.colour = "blue"
    asyncio.run(volumes.ensure(pod, known, AROUND))

    second = bound(volumes, pod, 1).read_text()

    assert (first, second) == ("red", "blue")


def test_a_file_whose_place_a_directory_took_is_mounted_as_what_it_is(volumes: PodVolumes) -> None:
    pod = a_mounting_pod({"emptyDir": {}}, "thing")
    asyncio.run(volumes.ensure(pod, Known("red"), AROUND))
    place = volumes._of("uid-web") / "empty" / "v" / "thing"
    place.write_text("a file")
    assert bound(volumes, pod, 0).is_file()
    place.unlink()
    place.mkdir()

    assert bound(volumes, pod, 1).is_dir()


def test_what_is_mounted_in_a_tree_is_not_removed_with_it(volumes: PodVolumes, tmp_path: Path) -> None:
    """A bind mount of the same file system too, which no device number tells."""
    other, root = tmp_path / "other", tmp_path / "root"
    (root / "inner").mkdir(parents=True)
    other.mkdir()
    (other / "file").write_text("kept")
    mounts.bind(str(other), root / "inner")
    assert other.stat().st_dev == root.stat().st_dev

    with pytest.raises(OSError, match="not empty"):
        trees.remove(root)
    mounts.unmount(root / "inner")
    trees.remove(root)

    assert (other / "file").read_text() == "kept"
    assert not os.path.lexists(root)
