"""A snapshot as kubelet's `/stats/summary`. Pure. Source: kubelet/pkg/apis/stats/v1alpha1/types.go."""

from collections.abc import Iterable
from typing import Any

from agent.usage.node_counters import Interface
from agent.usage.sampler import PodUsage, Sample, Snapshot
from gitops.kinds.objects import timestamp

Json = dict[str, Any]


def summary(snapshot: Snapshot) -> Json:
    """The whole node. Without rates until there are two samples."""
    disk, node = snapshot.disk, snapshot.node
    memory = {**_memory(node), "availableBytes": max(snapshot.memory_bytes - node.usage.working_set_bytes, 0)}
    filesystem = {
        "time": timestamp(node.at),
        "capacityBytes": disk.capacity_bytes,
        "availableBytes": disk.available_bytes,
        "usedBytes": disk.capacity_bytes - disk.available_bytes,
    }
    about = {"nodeName": snapshot.node_name, "cpu": _cpu([node]), "memory": memory, "fs": filesystem}
    return {"node": about, "pods": [_pod(pod) for pod in snapshot.pods]}


def _pod(pod: PodUsage) -> Json:
    samples = [one.sample for one in pod.containers]
    told: Json = {
        "podRef": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
        "startTime": timestamp(pod.started_at) if pod.started_at else None,
        "containers": [
            {
                "name": one.name,
                "startTime": timestamp(one.started_at) if one.started_at else None,
                "cpu": _cpu([one.sample]),
                "memory": _memory(one.sample),
            }
            for one in pod.containers
        ],
    }
    if samples:
        told["cpu"] = _cpu(samples)
        sums = [_memory(sample) for sample in samples]
        names = ("usageBytes", "workingSetBytes", "rssBytes")
        told["memory"] = {"time": sums[0]["time"], **{name: sum(one[name] for one in sums) for name in names}}
        told["process_stats"] = {"process_count": sum(sample.usage.processes for sample in samples)}
    if pod.interfaces and samples:
        told["network"] = _network(pod.interfaces, samples[0])
    return told


def _cpu(samples: Iterable[Sample]) -> Json:
    every = list(samples)
    told: Json = {
        "time": timestamp(every[0].at),
        "usageCoreNanoSeconds": sum(one.usage.cpu_nanoseconds for one in every),
    }
    rates = [one.nano_cores for one in every if one.nano_cores is not None]
    if len(rates) == len(every):
        told["usageNanoCores"] = sum(rates)
    return told


def _memory(sample: Sample) -> Json:
    return {
        "time": timestamp(sample.at),
        "usageBytes": sample.usage.memory_bytes,
        "workingSetBytes": sample.usage.working_set_bytes,
        "rssBytes": sample.usage.rss_bytes,
    }


def _network(interfaces: tuple[Interface, ...], sample: Sample) -> Json:
    every = [
        {
            "name": one.name,
            "rxBytes": one.rx_bytes,
            "rxErrors": one.rx_errors,
            "txBytes": one.tx_bytes,
            "txErrors": one.tx_errors,
        }
        for one in interfaces
    ]
    return {"time": timestamp(sample.at), **every[0], "interfaces": every}
