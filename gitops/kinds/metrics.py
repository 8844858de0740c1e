"""metrics.k8s.io/v1beta1: what nodes and pods use now. Computed when asked for, never stored or declared."""

from typing import Any, Final

from gitops.kinds.kind import Kind

GROUP: Final = "metrics.k8s.io"
VERSION: Final = "v1beta1"
NODE_METRICS: Final[Kind[Any]] = Kind(
    f"{GROUP}/{VERSION}", "NodeMetrics", plural="nodes", namespaced=False, verbs=("get", "list")
)
POD_METRICS: Final[Kind[Any]] = Kind(f"{GROUP}/{VERSION}", "PodMetrics", plural="pods", verbs=("get", "list"))
COMPUTED: Final = (NODE_METRICS, POD_METRICS)
"""Told in discovery beside the kinds that are stored."""
