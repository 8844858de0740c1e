"""SealedSecrets in a whole master: live as Secrets, held back without a key, and taken once the key is there."""

from datetime import UTC, datetime
from pathlib import Path

from gitops.kinds.core.config import SECRET
from gitops.sync.secrets.sealed_keys import CERTIFICATE, FOLDER, ensure_fresh, read_certificate
from gitops.sync.secrets.sealed_secrets import Scope
from gitops.sync.secrets.writer import seal_file
from tests.integration.master.whole import Site, Whole, config_map, manifest, parser, site

__all__ = ["parser", "site"]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def sealed_by(folder: Path) -> str:
    """A Secret `db` for whoever holds the key of a folder, which is made."""
    ensure_fresh(folder, NOW)
    key = read_certificate((folder / CERTIFICATE).read_bytes())
    return seal_file(manifest("Secret", "db", password="canary-sealed"), key, Scope.STRICT)


def test_a_sealed_secret_goes_live_as_the_secret_that_it_stands_for(site: Site) -> None:
    text = sealed_by(site.data / FOLDER)

    async def story(whole: Whole) -> None:
        await whole.goes_live({"db.yaml": text})

        secret = await whole.admin.get(SECRET, "default", "db")
        assert secret["data"]["password"].reveal() == b"Y2FuYXJ5LXNlYWxlZA=="
        await whole.goes_live({"db.yaml": None, "a.yaml": config_map("a")})
        assert whole.found(SECRET, "default", "db") is None

    site.run(story)
    assert [
        file for file in site.data.rglob("*") if file.is_file() and b"canary-sealed" in file.read_bytes()
    ] == []


def test_it_is_held_back_until_its_key_is_there(site: Site, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    text = sealed_by(elsewhere)

    async def story(whole: Whole) -> None:
        good = await whole.goes_live({"a.yaml": config_map("a")})
        (problem,) = await whole.is_refused({"db.yaml": text})
        assert problem.startswith("db.yaml:8: spec.encryptedData.password cannot be opened: there is no key")
        assert whole.live_commit() == good

        (site.data / FOLDER).mkdir()
        for file in elsewhere.glob("*.yaml"):
            (site.data / FOLDER / file.name).write_bytes(file.read_bytes())
        await whole.look()

        await whole.until(lambda: whole.found(SECRET, "default", "db") is not None)
        assert whole.problems() == []

    site.run(story)
