"""What all tests on a real engine share: one private engine for the session, with an image of busybox."""

from collections.abc import Iterator

import pytest

from tests.docker.engine import lacks, private_engine


@pytest.fixture(scope="session")
def docker_host() -> Iterator[str]:
    """Its DOCKER_HOST."""
    if missing := lacks():
        pytest.skip(missing)
    with private_engine() as host:
        yield host
