"""A site for each test, with one parser for all: its start takes longer than a master's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.sync.zygote import Parser
from tests.integration.master.whole import Site


@pytest.fixture(scope="session")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parser]:
    parser = Parser(tmp_path_factory.mktemp("parser") / "empty")
    parser.start()
    yield parser
    parser.close()


@pytest.fixture
def site(tmp_path: Path, parser: Parser) -> Site:
    return Site(tmp_path, parser)
