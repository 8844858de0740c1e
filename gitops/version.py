"""Which version this is, and which Kubernetes it presents itself as."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final

try:
    VERSION: Final[str] = version("gitward")
except PackageNotFoundError:  # Run from a checkout that was never installed.
    VERSION = "0"

KUBERNETES_VERSION: Final = f"v1.35.0+gitward.{VERSION}"
