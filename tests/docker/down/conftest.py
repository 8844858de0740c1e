"""`gitward down` in an empty network namespace, beside a private engine."""

from tests.docker.net.conftest import namespace

__all__ = ["namespace"]
