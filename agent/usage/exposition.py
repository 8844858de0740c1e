"""A snapshot as Prometheus reads it, under cAdvisor's and kubelet's names. Pure.

Source: cadvisor/metrics/prometheus.go; kubelet/pkg/server: `/metrics/cadvisor`, `/metrics/resource`.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal

from agent.usage.node_counters import Interface
from agent.usage.sampler import ContainerUsage, PodUsage, Snapshot

NANO: Final = 1_000_000_000
Row = tuple[Mapping[str, str], float]

_NETWORK: Final[tuple[tuple[str, str], ...]] = (
    ("receive_bytes", "rx_bytes"),
    ("receive_packets", "rx_packets"),
    ("receive_errors", "rx_errors"),
    ("receive_packets_dropped", "rx_dropped"),
    ("transmit_bytes", "tx_bytes"),
    ("transmit_packets", "tx_packets"),
    ("transmit_errors", "tx_errors"),
    ("transmit_packets_dropped", "tx_dropped"),
)


def cadvisor(snapshot: Snapshot) -> str:
    """`/metrics/cadvisor`."""
    every = [(pod, one) for pod in snapshot.pods for one in pod.containers]
    told = [
        _family(
            "container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed in seconds.",
            (({**_labels(pod, one), "cpu": "total"}, one.sample.usage.cpu_nanoseconds / NANO) for pod, one in every),
        ),
        _gauge(
            "container_memory_usage_bytes", "Current memory usage, caches included.",
            ((_labels(pod, one), one.sample.usage.memory_bytes) for pod, one in every),
        ),
        _gauge(
            "container_memory_working_set_bytes", "Current working set.",
            ((_labels(pod, one), one.sample.usage.working_set_bytes) for pod, one in every),
        ),
        _gauge(
            "container_memory_rss", "Size of RSS.",
            ((_labels(pod, one), one.sample.usage.rss_bytes) for pod, one in every),
        ),
        _gauge(
            "container_processes", "Number of processes running inside the container.",
            ((_labels(pod, one), one.sample.usage.processes) for pod, one in every),
        ),
        _gauge(
            "container_start_time_seconds", "Start time of the container since unix epoch in seconds.",
            ((_labels(pod, one), one.started_at.timestamp()) for pod, one in every if one.started_at),
        ),
        _gauge(
            "container_last_seen", "Last time a container was seen.",
            ((_labels(pod, one), one.sample.at.timestamp()) for pod, one in every),
        ),
        *(_network(name, field, snapshot.pods) for name, field in _NETWORK),
        _gauge("machine_cpu_cores", "Number of logical CPU cores.", [({}, snapshot.cpus)]),
        _gauge("machine_memory_bytes", "Amount of memory installed.", [({}, snapshot.memory_bytes)]),
    ]  # fmt: skip
    return "".join(told)


def resource(snapshot: Snapshot) -> str:
    """`/metrics/resource`: what metrics-server reads."""
    every = [(pod, one) for pod in snapshot.pods for one in pod.containers]
    node = snapshot.node.usage
    return "".join(
        (
            _family(
                "node_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the node.",
                [({}, node.cpu_nanoseconds / NANO)],
            ),
            _gauge("node_memory_working_set_bytes", "Current working set of the node.", [({}, node.working_set_bytes)]),
            _family(
                "container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the container.",
                ((_short(pod, one.name), one.sample.usage.cpu_nanoseconds / NANO) for pod, one in every),
            ),
            _gauge(
                "container_memory_working_set_bytes", "Current working set of the container.",
                ((_short(pod, one.name), one.sample.usage.working_set_bytes) for pod, one in every),
            ),
            _gauge(
                "container_start_time_seconds", "Start time of the container since unix epoch in seconds.",
                ((_short(pod, one.name), one.started_at.timestamp()) for pod, one in every if one.started_at),
            ),
            _gauge("resource_scrape_error", "1 if there was an error while getting metrics, 0 otherwise.", [({}, 0)]),
        )
    )  # fmt: skip


def agent(snapshot: Snapshot, *, cpu_seconds: float, resident_bytes: int) -> str:
    """`/metrics`: of the agent itself, and how often containers were started again."""
    containers = sum(len(pod.containers) for pod in snapshot.pods)
    return "".join(
        (
            _family("process_cpu_seconds_total", "counter", "CPU time of the agent.", [({}, cpu_seconds)]),
            _gauge("process_resident_memory_bytes", "Memory of the agent.", [({}, resident_bytes)]),
            _gauge("kubelet_running_pods", "Pods that have a running sandbox.", [({}, len(snapshot.pods))]),
            _gauge(
                "kubelet_running_containers", "Containers that run.", [({"container_state": "running"}, containers)]
            ),
            _family(
                "kube_pod_container_status_restarts_total", "counter", "How often a container was started again.",
                (({"namespace": namespace, "pod": pod, "container": name}, count)
                 for namespace, pod, name, count in snapshot.restarts),
            ),
        )
    )  # fmt: skip


def _network(name: str, field: str, pods: Iterable[PodUsage]) -> str:
    def rows() -> Iterator[Row]:
        for pod in pods:
            for one in pod.interfaces:
                yield {**_short(pod, ""), "interface": one.name}, _counter(one, field)

    return _family(f"container_network_{name}_total", "counter", f"Cumulative count of {name}.", rows())


def _counter(interface: Interface, field: str) -> int:
    return int(getattr(interface, field))


def _labels(pod: PodUsage, one: ContainerUsage) -> Mapping[str, str]:
    return {**_short(pod, one.name), "image": one.image, "name": one.id}


def _short(pod: PodUsage, container: str) -> Mapping[str, str]:
    return {"container": container, "namespace": pod.namespace, "pod": pod.name}


def _gauge(name: str, help_: str, rows: Iterable[Row]) -> str:
    return _family(name, "gauge", help_, rows)


def _family(name: str, kind: Literal["counter", "gauge"], help_: str, rows: Iterable[Row]) -> str:
    lines = [f"# HELP {name} {help_}", f"# TYPE {name} {kind}"]
    for labels, value in rows:
        inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        lines.append(f"{name}{{{inner}}} {value!r}" if inner else f"{name} {value!r}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
