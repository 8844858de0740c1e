"""Key pairs of SealedSecrets are made beside the master, and whether that works is no matter of life and death."""

import asyncio
import sys
from pathlib import Path

import pytest

from gitops.sync.secrets import sealed_keys


def test_a_host_that_starts_no_process_costs_the_key_pair_and_not_the_master(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Symptom: a master ended when the host had no memory for one more process, once a day."""
    monkeypatch.setattr(
        sealed_keys, "FIRST_SECONDS", 0.0
    )  # A bound of ours, made short: nothing is replaced.
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))

    async def story() -> None:
        task = asyncio.create_task(sealed_keys.keep_fresh(tmp_path))
        async with asyncio.timeout(20):
            while not task.done() and "no key pair for SealedSecrets" not in caplog.text:
                await asyncio.sleep(0.01)
        assert not task.done()
        task.cancel()
        await asyncio.wait((task,))

    asyncio.run(story())
