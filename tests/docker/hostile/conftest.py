"""Hostile pods on a node of their own, beside a private engine."""

from tests.docker.pods.conftest import play

__all__ = ["play"]
