"""Which version this is, and which Kubernetes it presents itself as."""

from importlib.metadata import version
from typing import Final

VERSION: Final = version("gitward")
KUBERNETES_VERSION: Final = f"v1.35.0+gitward.{VERSION}"
