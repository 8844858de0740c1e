"""The operating system that a pod names, and what depends on it: stop signals, options of Windows (API reference 1.35).

Source of the rules: Kubernetes, pkg/apis/core/validation (`validateOS`, `validateLinux`, `validateStopSignal`).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypedDict

from gitops.kinds import wording
from gitops.kinds.kind import Problem

LINUX: Final = "linux"
WINDOWS: Final = "windows"
_NAMES: Final = (
    "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP "
    "TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX"
)
SIGNALS: Final[Mapping[str, tuple[str, ...]]] = {
    LINUX: (
        *(f"SIG{name}" for name in _NAMES.split()),
        *(f"SIGRTMIN+{number}" for number in range(1, 16)),
        *(f"SIGRTMAX-{number}" for number in range(1, 15)),
    ),
    WINDOWS: ("SIGKILL", "SIGTERM"),
}


class PodOS(TypedDict):
    name: Literal["linux"]


def check_os(spec: Mapping[str, Any], field: str) -> Iterator[Problem]:
    """Of a pod's specification."""
    stated = spec.get("os")
    name = stated.get("name") or "" if stated is not None else None
    if name == "":
        yield wording.required(f"{field}.os.name", "cannot be empty")
    elif name is not None:
        yield from wording.one_of(f"{field}.os.name", name, (LINUX, WINDOWS))
    if name == LINUX and (spec.get("securityContext") or {}).get("windowsOptions") is not None:
        yield _windows_options(f"{field}.securityContext")
    for group in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(group) or ()):
            yield from _check_container(container, name, f"{field}.{group}[{index}]")


def _check_container(container: Mapping[str, Any], os: str | None, field: str) -> Iterator[Problem]:
    if os == LINUX and (container.get("securityContext") or {}).get("windowsOptions") is not None:
        yield _windows_options(f"{field}.securityContext")
    signal = (container.get("lifecycle") or {}).get("stopSignal")
    if signal is None:
        return
    at = f"{field}.lifecycle.stopSignal"
    if os is None:
        yield wording.forbidden(at, "may not be set for containers with empty `spec.os.name`")
    else:
        yield from wording.one_of(at, signal, SIGNALS.get(os, ()))


def _windows_options(field: str) -> Problem:
    return wording.forbidden(f"{field}.windowsOptions", "windows options cannot be set for a linux pod")
