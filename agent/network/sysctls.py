"""Kernel settings: each original is on disk before the first change, so that `down` can put it back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypedDict

import orjson

from gitops.kinds.errors import Unavailable

PROC_SYS: Final = Path("/proc/sys")
FILE_NAME: Final = "sysctls.json"

HOST: Final[Mapping[str, str]] = {
    "net/ipv4/ip_forward": "1",
    # A pod that calls its own service is sent back out of the link it came from: no redirects for that.
    "net/ipv4/conf/all/send_redirects": "0",
}


class _Saved(TypedDict):
    boot: str  # After a reboot the settings are the host's own again: these originals mean nothing then.
    originals: dict[str, str]


def link_sysctls(name: str) -> Mapping[str, str]:
    """Of one pod link. They go with the link, so no original is kept."""
    return {
        f"net/ipv4/conf/{name}/send_redirects": "0",
        f"net/ipv4/conf/{name}/rp_filter": "1",  # A pod may send from its own address only.
        f"net/ipv6/conf/{name}/disable_ipv6": "1",  # Else its link-local address would go round the rules.
    }


def read(name: str) -> str:
    return (PROC_SYS / name).read_text().strip()


def write(settings: Mapping[str, str]) -> None:
    """What this kernel lacks (IPv6 switched off) is left out."""
    for name, value in settings.items():
        path = PROC_SYS / name
        if not path.exists():
            continue
        try:
            if path.read_text().strip() != value:
                path.write_text(value)
        except OSError as error:
            raise Unavailable(f"cannot set {name.replace('/', '.')} to {value}: {error}") from error


def saved(state_dir: Path) -> Mapping[str, str]:
    """The originals; empty if none were changed since the host started."""
    try:
        content: _Saved = orjson.loads((state_dir / FILE_NAME).read_bytes())
    except FileNotFoundError:
        return {}
    return content["originals"] if content["boot"] == _boot() else {}


def apply(state_dir: Path) -> None:
    """Set `HOST`. The first time the originals are saved; later calls keep those, not what we set ourselves."""
    known = saved(state_dir)
    originals = {**{name: read(name) for name in HOST}, **known}
    if originals != known:
        state_dir.mkdir(parents=True, exist_ok=True)
        draft = state_dir / (FILE_NAME + ".new")
        draft.write_bytes(orjson.dumps(_Saved(boot=_boot(), originals=originals)))
        draft.replace(state_dir / FILE_NAME)
    write(HOST)


def restore(state_dir: Path) -> None:
    """Put the originals back and forget them."""
    write(saved(state_dir))
    (state_dir / FILE_NAME).unlink(missing_ok=True)


def _boot() -> str:
    return read("kernel/random/boot_id")
