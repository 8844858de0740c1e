"""Wrong usage of the command line: exit code 64, whatever the flag."""

from gitops.kinds.errors import BadRequest


class WrongUsage(BadRequest):
    """A flag or argument that makes no sense; the message says which, what was found and what is wanted."""
