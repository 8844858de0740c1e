"""What Kubernetes warns of in a pod that is valid: it will run, but hardly as it was meant.

Source: kubernetes/pkg/api/pod/warnings.go, 1.35, and its words. Runs on what was written: it may be a part of an object
(server-side apply) or none at all, which others tell; so nothing is taken for granted here.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gitops.kinds import quantity
from gitops.kinds.core.pod_admission import APPARMOR

Json = Any
_RENAMED: Final = {
    "beta.kubernetes.io/arch": ("1.14", "kubernetes.io/arch"),
    "beta.kubernetes.io/os": ("1.14", "kubernetes.io/os"),
    "failure-domain.beta.kubernetes.io/region": ("1.17", "topology.kubernetes.io/region"),
    "failure-domain.beta.kubernetes.io/zone": ("1.17", "topology.kubernetes.io/zone"),
    "beta.kubernetes.io/instance-type": ("1.17", "node.kubernetes.io/instance-type"),
}
_SECCOMP: Final = (
    "seccomp.security.alpha.kubernetes.io/pod",
    "container.seccomp.security.alpha.kubernetes.io/",
)
_BYTES: Final = ("memory", "ephemeral-storage")


def warn_pod(pod: Json) -> Iterator[str]:
    yield from _annotations(_mapping(pod, "metadata", "annotations"), "metadata.annotations")
    yield from _warn(_mapping(pod, "spec"), "spec")


def warn_workload(workload: Json) -> Iterator[str]:
    """Of the pods that a Deployment and its like make."""
    template = "spec.template"
    annotations = _mapping(workload, "spec", "template", "metadata", "annotations")
    yield from _annotations(annotations, f"{template}.metadata.annotations")
    yield from _warn(_mapping(workload, "spec", "template", "spec"), f"{template}.spec")


def _annotations(annotations: Mapping[str, Json], field: str) -> Iterator[str]:
    for name in annotations:
        if str(name).startswith(APPARMOR):
            yield f'{field}[{name}]: deprecated since v1.30; use the "appArmorProfile" field instead'
        elif str(name).startswith(_SECCOMP):
            yield f'{field}[{name}]: non-functional in v1.27+; use the "seccompProfile" field instead'


def _warn(spec: Mapping[str, Json], field: str) -> Iterator[str]:
    for name in _mapping(spec, "nodeSelector"):
        if (found := _RENAMED.get(name)) is not None:
            since, now = found
            yield f'{field}.nodeSelector[{name}]: deprecated since v{since}; use "{now}" instead'
    named: dict[str, str] = {}  # A port's name -> where it stood first.
    for kind in ("initContainers", "containers"):
        for index, container in _items(spec, kind):
            place = f"{field}.{kind}[{index}]"
            yield from _environment(container, place)
            yield from _fractions(container, place)
            if kind == "containers":
                yield from _ports(container, place, named)


def _environment(container: Mapping[str, Json], place: str) -> Iterator[str]:
    """A merge by name keeps one of them."""
    seen: set[str] = set()
    for index, variable in _items(container, "env"):
        name = str(variable.get("name"))
        if name in seen:
            what = f'hides previous definition of "{name}", which may be dropped when using apply'
            yield f"{place}.env[{index}]: {what}"
        seen.add(name)


def _fractions(container: Mapping[str, Json], place: str) -> Iterator[str]:
    """`memory: 200m` is a fifth of a byte: somebody meant Mi."""
    for part in ("limits", "requests"):
        amounts = _mapping(container, "resources", part)
        for name in _BYTES:
            if name in amounts and _is_fraction(amounts[name]):
                what = f'fractional byte value "{amounts[name]}" is invalid, must be an integer'
                yield f"{place}.resources.{part}[{name}]: {what}"


def _is_fraction(text: Json) -> bool:
    try:
        return quantity.parse(text) % 1 != 0
    except ValueError:
        return False


def _ports(container: Mapping[str, Json], place: str, named: dict[str, str]) -> Iterator[str]:
    for index, port in _items(container, "ports"):
        name, here = port.get("name"), f"{place}.ports[{index}]"
        if isinstance(name, str) and name and (first := named.setdefault(name, here)) != here:
            yield (
                f'{here}: duplicate port name "{name}" with {first}, services and probes that select '
                f"ports by name will use {first}"
            )


def _mapping(value: Json, *names: str) -> Mapping[str, Json]:
    """What lies beneath; empty if it is not there, or something else."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _items(value: Mapping[str, Json], name: str) -> Iterator[tuple[int, Mapping[str, Json]]]:
    found = value.get(name)
    for index, item in enumerate(found if isinstance(found, list) else ()):
        if isinstance(item, Mapping):
            yield index, item
