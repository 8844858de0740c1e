"""A served API for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.api.served import Served, serving


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as served:
        yield served
