"""A site for each test: `whole.py`."""

from tests.integration.master.whole import parser, site

__all__ = ["parser", "site"]
