"""The disk under a running master fills: it says so, loses nothing that it acknowledged, and goes on when it can."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from gitops.kinds.core.config import CONFIG_MAP
from gitops.kinds.core.pod import POD, Pod
from gitops.kinds.errors import Unavailable
from gitops.store.contract import StoreUnusable
from gitops.sync.zygote import Parser
from tests.integration.master.whole import Site, Whole, config_map, deployment

DISK_BYTES: Final = 4_000_000


@pytest.fixture
def small(tmp_path: Path, parser: Parser) -> Iterator[Site]:
    """A site whose data directory lies on a very small disk of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a tmpfs")
    site = Site(tmp_path, parser)
    key = (site.data / "age.key").read_text()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "gitward-test", str(site.data)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted: {mounted.stderr.strip()}")
    (site.data / "age.key").write_text(key)
    yield site
    subprocess.run(["umount", "--lazy", str(site.data)], check=True)


def fill(folder: Path) -> Path:
    """Every byte of the disk; the file to remove when there shall be space again."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    return ballast


async def ready(whole: Whole) -> tuple[int, str]:
    async with whole.admin._session().get(f"{whole.admin.credentials.url}/readyz") as answer:
        return answer.status, await answer.text()


def test_a_full_disk_is_told_everywhere_and_costs_nothing_that_was_acknowledged(
    small: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    async def full(whole: Whole) -> list[Pod]:
        good = await whole.goes_live({"a.yaml": config_map("a"), "web.yaml": deployment("web", replicas=2)})
        await whole.until(lambda: len(whole.names(POD, "default")) == 2)
        await whole.settled()
        before = list(whole.store.view().list(POD, "default"))
        ballast = fill(small.data)

        commit = small.repository.commit({"a.yaml": config_map("a", "two" * 20_000)})
        await whole.look()

        with pytest.raises(Unavailable, match="free some space on that disk"):
            await whole.admin.delete(POD, "default", whole.names(POD, "default")[0])
        code, words = await ready(whole)
        assert code == 503
        assert "free some space on that disk" in words
        assert list(whole.store.view().list(POD, "default")) == before
        assert whole.live_commit() == good
        listed = await whole.admin.list(POD, "default")  # Reads go on.
        assert len(listed.items) == 2

        ballast.unlink()
        await whole.is_live(commit)
        assert whole.problems() == []
        assert await ready(whole) == (200, "ok")
        return list(whole.store.view().list(POD, "default"))

    async def after(whole: Whole) -> list[Pod]:
        assert whole.found(CONFIG_MAP, "default", "a")["data"] == {"a": "two" * 20_000}
        return list(whole.store.view().list(POD, "default"))

    pods = small.run(full)
    said = capsys.readouterr().err
    assert (
        f"source shop: file://{small.repository.folder}: cannot fetch: write error: No space left on device"
        in said
    )
    assert "state.db: database or disk is full: nothing was written: free some space on that disk" in said
    assert "Traceback" not in said
    assert small.run(after) == pods


def test_a_master_that_starts_on_a_full_disk_says_so_and_starts_once_there_is_space(small: Site) -> None:
    async def first(whole: Whole) -> None:
        await whole.goes_live({"a.yaml": config_map("a")})

    async def again(whole: Whole) -> None:
        assert whole.found(CONFIG_MAP, "default", "a") is not None

    small.run(first)
    ballast = fill(small.data)
    with pytest.raises(StoreUnusable, match=r"state.db: .*: free some space on that disk"):
        small.run(again)
    ballast.unlink()
    small.run(again)
