"""One small module per provider: who signed a delivery, which id it has, what it says. `base.py` has the vocabulary."""

from collections.abc import Mapping
from typing import Final

from webhooks.providers import generic, github
from webhooks.providers.base import Provider

PROVIDERS: Final[Mapping[str, Provider]] = {"generic": generic.PROVIDER, "github": github.PROVIDER}

__all__ = ["PROVIDERS"]
