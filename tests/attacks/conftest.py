"""What these tests share: a site with a whole master, for those that attack all of it."""

from tests.integration.master.whole import parser, site

__all__ = ["parser", "site"]
