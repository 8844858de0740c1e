"""What all layers share: where every layer must run, a skipped test is a failure."""

import os
from collections.abc import Generator, Sequence
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

LAYERS: Final = ("unit", "contract", "simulated", "attacks", "integration", "docker")
ALL_LAYERS: Final = bool(os.environ.get("GITWARD_ALL_LAYERS") or os.environ.get("CI"))

# The machine may be slow and shared: a deadline per example would test the machine.
settings.register_profile("gitward", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gitward")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Skips say what a machine lacks; where every layer must run, they fail."""
    report = yield
    if ALL_LAYERS and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
    return report


def pytest_collection_finish(session: pytest.Session) -> None:
    """`make test` promises every layer: one without a test is a failure."""
    if os.environ.get("GITWARD_ALL_LAYERS") and not session.config.option.file_or_dir_is_narrow:
        present = {item.path.relative_to(session.config.rootpath).parts[1] for item in session.items}
        if missing := [layer for layer in LAYERS if layer not in present]:
            pytest.exit(f"no test in the layers: {', '.join(missing)}", returncode=1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write what the renderers give now; read the diff"
    )


def pytest_configure(config: pytest.Config) -> None:
    chosen: Sequence[str] = config.option.file_or_dir
    narrow = bool(config.option.keyword or config.option.markexpr) or any("/" in path for path in chosen)
    config.option.file_or_dir_is_narrow = narrow
