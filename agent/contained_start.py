"""`python -m agent.contained_start LOG COMMAND…`: what a helper's container begins with.

Opens the log as `helpers.spawn` does for a process, leads a session, and becomes the command.
"""

import os
import sys


def main() -> None:
    """Does not return."""
    log, command = sys.argv[1], sys.argv[2:]
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in (1, 2):
        os.dup2(descriptor, number)
    os.execvp(command[0], command)  # noqa: S606 # No shell: that is the point.


if __name__ == "__main__":
    main()
