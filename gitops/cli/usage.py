"""The errors that have an exit code of their own: wrong usage of the command line, and deletions that are held."""

from gitops.kinds.errors import BadRequest, GitwardError


class WrongUsage(BadRequest):
    """A flag or argument that makes no sense; the message says which, what was found and what is wanted."""


class DeletionsHeld(GitwardError):
    """All that git states is live and healthy, and what it states no more is still there."""


class HostUnfit(GitwardError):
    """What `gitward doctor` found would fail. All of it is printed already."""
