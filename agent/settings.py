"""What an agent is told when it is started, and the file by which its process is told.

The file holds a private key: it is made with mode 0600 and lies in the data directory.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
from pydantic import TypeAdapter, ValidationError

from agent.limits import DEFAULT, NodeLimits
from gitops.client import Credentials
from gitops.kinds.errors import BadRequest
from gitops.kinds.sensitive import Sensitive

RUN_DIR: Final = Path("/run/gitward")  # Short: a socket's path has 107 bytes. Gone after a reboot.
CLUSTER_DOMAIN: Final = "cluster.local"


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """One node. `cluster`: 8 hex digits; ranges in CIDR notation, of the whole cluster.

    `ingress_…`: ADDRESS:PORT; '': nowhere.
    A simulated node runs pods in a dict and needs neither root nor an engine; what it runs is kept in `data_dir`.
    """

    name: str
    cluster: str
    data_dir: Path
    pod_cidr: str
    service_cidr: str
    ingress_http: str
    ingress_https: str
    docker_host: str
    simulated: bool = False
    node_ip: str = ""  # Where other nodes reach this one; '': found out.
    overlay: str = "auto"  # How packets get there: auto, direct or vxlan.
    unsafe_sysctls: tuple[str, ...] = ()  # That pods may set beside the safe ones.
    static_pods: Path | None = None  # A directory of manifests that this node runs by itself.
    service_proxy: str = "auto"  # What leads to services: auto, iptables or nftables.
    spare_sandboxes: int = 0  # How many are made ahead of pods.
    limits: NodeLimits = DEFAULT

    @property
    def volumes_dir(self) -> Path:
        return self.data_dir / "pods"

    @property
    def persistent_dir(self) -> Path:
        """The data of volumes that claims got from the class `local-path`."""
        return self.data_dir / "volumes"

    @property
    def seccomp_dir(self) -> Path:
        """Where an operator puts the profiles that `seccompProfile.localhostProfile` names."""
        return self.data_dir / "seccomp"

    @property
    def memory_dir(self) -> Path:
        """What it was told last."""
        return self.data_dir / "agent" / "memory"

    @property
    def network_dir(self) -> Path:
        return self.data_dir / "network"

    @property
    def run_dir(self) -> Path:
        return RUN_DIR / self.cluster

    @property
    def journal(self) -> Path:
        """Of what a simulated node runs."""
        return self.data_dir / "simulated" / f"{self.name}.jsonl"


@dataclass(frozen=True, slots=True)
class _Config:
    node: NodeSettings
    url: str
    ca: str
    cert: str
    key: str
    server_name: str = ""


_CONFIG: Final = TypeAdapter(_Config)


def config_path(data_dir: Path, name: str) -> Path:
    """Where `write_config` puts it."""
    return data_dir / "agent" / f"{name}.json"


def write_config(settings: NodeSettings, credentials: Credentials) -> Path:
    """The file for `python -m agent.node --config FILE`; replaces an older one of this node."""
    path = config_path(settings.data_dir, settings.name)
    path.parent.mkdir(0o700, parents=True, exist_ok=True)
    node = {name: getattr(settings, name) for name in NodeSettings.__slots__}
    if settings.static_pods is not None:
        node["static_pods"] = str(settings.static_pods.absolute())
    body = {
        "node": {**node, "data_dir": str(settings.data_dir.absolute())},
        "url": credentials.url,
        "ca": credentials.ca.decode(),
        "cert": credentials.cert.decode(),
        "key": credentials.key.reveal().decode(),
        "server_name": credentials.server_name,
    }
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(orjson.dumps(body))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    return path


def read_config(path: Path) -> tuple[NodeSettings, Credentials]:
    """The inverse. Raises BadRequest, without showing the key."""
    try:
        config = _CONFIG.validate_json(path.read_bytes())
    except OSError as error:
        raise BadRequest(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        places = ", ".join(".".join(str(part) for part in one["loc"]) for one in error.errors())
        raise BadRequest(f"{path}: found no valid agent configuration: {places}") from None
    credentials = Credentials(
        config.url,
        config.ca.encode(),
        config.cert.encode(),
        Sensitive(config.key),
        server_name=config.server_name,
    )
    return config.node, credentials
