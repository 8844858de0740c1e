"""From flags, environment variables and `gitward.yaml` to values: checked once, here.

A flag wins over its environment variable, that over the file, that over the default.
"""

import ipaddress
import os
import re
import sys
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from agent.runtime.protocol import PIDS_MAX
from agent.thresholds import EVICTION_HARD, PRESSURE_SECONDS
from gitops.cli.sources import FORGE, NAME, SourceSettings
from gitops.cli.usage import WrongUsage

DATA_DIR: Final = Path("/var/lib/gitward")
OVERLAY: Final = r"^(auto|direct|vxlan)$"
MASTER: Final = re.compile(r"https://[^/\s]+")
SERVICE_PROXY: Final = r"^(auto|iptables|nftables)$"
SPARE_SANDBOXES_MAX: Final = 100  # Each keeps one of the node's 250 addresses.
CONFIG_FILE: Final = Path("gitward.yaml")
KUBECONFIG_NAME: Final = "admin.kubeconfig"


def _network(text: str) -> str:
    network = ipaddress.ip_network(text)
    if network.version != 4 or network.prefixlen > 20:
        raise ValueError("an IPv4 range of /20 or larger is wanted, such as 10.77.0.0/16")
    return str(network)


def _address(text: str) -> str:
    """`ADDR:PORT`, or '' for none."""
    if not text:
        return text
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("ADDR:PORT is wanted, such as 127.0.0.1:6443")
    ipaddress.ip_address(host.strip("[]"))
    return text


def _master(text: str) -> str:
    """`https://HOST:PORT`, or '' for the one that is known."""
    if text and not MASTER.fullmatch(text):
        raise ValueError("https://HOST:PORT is wanted, such as https://192.0.2.10:6443")
    return text


def _ip(text: str) -> str:
    """An IPv4 address, or '' for none."""
    return str(ipaddress.IPv4Address(text)) if text else text


def _any_network(text: str) -> str:
    return str(ipaddress.ip_network(text))


def _network4(text: str) -> str:
    return str(ipaddress.IPv4Network(text))


def _ports(text: str) -> str:
    low, _, high = text.partition("-")
    if not (low.isdecimal() and high.isdecimal() and 0 < int(low) <= int(high) < 65536):
        raise ValueError("LOW-HIGH is wanted, such as 30000-32767")
    return text


Network = Annotated[str, AfterValidator(_network)]
AnyNetwork = Annotated[str, AfterValidator(_any_network)]


def _namespaced(name: str) -> str:
    """A sysctl that every pod has for itself: another one would change the whole host."""
    if not re.fullmatch(r"(kernel\.(shm|msg|sem)|fs\.mqueue\.|net\.)[a-zA-Z0-9_.-]*\*?", name):
        raise ValueError(
            "wanted kernel.shm…, kernel.msg…, kernel.sem, fs.mqueue.… or net.…, with * at most at the end"
        )
    return name


Address = Annotated[str, AfterValidator(_address)]
Master = Annotated[str, AfterValidator(_master)]
Network4 = Annotated[str, AfterValidator(_network4)]
PortRange = Annotated[str, AfterValidator(_ports)]
Ip = Annotated[str, AfterValidator(_ip)]
Sysctl = Annotated[str, AfterValidator(_namespaced)]
NODE_NAME: Final = r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?$"


class NodeSettings(BaseModel):
    """What a node is told, whether it is one of `up` or an agent's."""

    model_config = ConfigDict(frozen=True)

    data_dir: Path
    node_name: str = Field(pattern=NODE_NAME)
    node_ip: Ip = ""
    overlay: str = Field(default="auto", pattern=OVERLAY)
    spare_sandboxes: int = Field(default=0, ge=0, le=SPARE_SANDBOXES_MAX)
    static_pods: Path | None = None
    service_proxy: str = Field(default="auto", pattern=SERVICE_PROXY)
    allowed_unsafe_sysctls: tuple[Sysctl, ...] = ()
    docker_config: Path | None = None
    image_gc_high: int = Field(default=85, ge=1, le=100)
    image_gc_low: int = Field(default=80, ge=0, le=99)
    eviction_hard: str = EVICTION_HARD
    pressure_seconds: float = PRESSURE_SECONDS
    eviction_soft: str = ""
    eviction_soft_grace_period: str = ""
    pod_grace_max_seconds: float = 0
    system_reserved: str = ""
    kube_reserved: str = ""
    pod_max_pids: int = Field(default=PIDS_MAX, ge=1, le=4_194_304)
    ingress_http: Address
    ingress_https: Address

    def __init__(self, **values: Any) -> None:
        """Raises WrongUsage, flag by flag, so that the command line shows it as any wrong usage."""
        _checked(super().__init__, values)


class AgentSettings(NodeSettings):
    """What `gitward agent` was told. '' where nothing was: what it knows from its joining holds."""

    master: Master
    join: str


class DoctorSettings(BaseModel):
    """What a host is to be: the flags of `up` that a host can be unfit for."""

    model_config = ConfigDict(frozen=True)

    role: str = Field(pattern=r"^(up|master|agent)$")
    data_dir: Path
    listen: Address
    webhook_listen: Address
    pod_cidr: Network
    service_cidr: Network
    ingress_http: Address
    ingress_https: Address

    def __init__(self, **values: Any) -> None:
        """As NodeSettings."""
        _checked(super().__init__, values)


class UpSettings(NodeSettings):
    """All that `gitward up` was told. `repo` '': follow nothing new (a source known from before goes on)."""

    repo: str
    branch: str
    path: str
    source_name: str = Field(pattern=NAME)
    interval_seconds: float = Field(ge=1)
    age_key_file: Path | None
    listen: Address = Field(min_length=1)
    webhook_listen: Address
    webhook_secret_file: Path | None
    webhook_secrets_dir: Path | None
    forge_token_file: Path | None
    forge: str = Field(pattern=FORGE)
    forge_url: str
    allow_mac_only_encrypted: bool
    node: str = Field(pattern=r"^(docker|none|simulated(:[1-9][0-9]{0,3})?)$")
    tls_sans: tuple[str, ...] = ()
    pod_cidr: Network
    service_cidr: Network
    ssh_key_file: Path | None
    known_hosts: Path | None
    git_credentials_file: Path | None
    history_seconds: float = Field(default=7 * 86_400.0, ge=0)
    history_revisions: int = Field(default=1_000_000, ge=0)
    render_bin_dir: Path | None = None
    apps: tuple[str, ...] = ()
    require_fast_forward: bool = False
    allowed_signers_file: Path | None = None
    gpg_keys_file: Path | None = None
    pod_security: str = Field(default="privileged", pattern=r"^(privileged|baseline|restricted)$")
    allow_source_networks: tuple[AnyNetwork, ...] = ()
    allow_external_ips: tuple[Network4, ...] = ()
    node_port_range: PortRange = "30000-32767"
    sources: tuple[SourceSettings, ...] = ()  # Of `gitward.yaml`, beside the one that the flags name.

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if ipaddress.ip_network(self.pod_cidr).overlaps(ipaddress.ip_network(self.service_cidr)):
            raise ValueError(f"--pod-cidr {self.pod_cidr} and --service-cidr {self.service_cidr} overlap")
        return self

    @property
    def node_ports(self) -> tuple[int, int]:
        """The first and the last port that Services may have at the nodes."""
        low, _, high = self.node_port_range.partition("-")
        return int(low), int(high)

    @property
    def simulated_nodes(self) -> int:
        """How many simulated nodes; 0 where Docker or no node is asked for."""
        kind, _, count = self.node.partition(":")
        return int(count or 1) if kind == "simulated" else 0


def _checked(make: Callable[..., None], values: Mapping[str, Any]) -> None:
    try:
        make(**values)
    except ValidationError as error:
        lines = [_told(problem["loc"], problem["msg"], problem["input"]) for problem in error.errors()]
        raise WrongUsage("; ".join(lines)) from error


def _told(place: tuple[int | str, ...], message: str, found: object) -> str:
    flag = "--" + str(place[0]).removesuffix("_seconds").replace("_", "-") + ": " if place else ""
    value = f"found {found!r}, " if place else ""
    return f"{flag}{value}{message.removeprefix('Value error, ')}"


def data_dir_of(given: Path | None) -> Path:
    """The data directory: the flag's, else /var/lib/gitward; without root `$XDG_STATE_HOME/gitward`."""
    if given is not None:
        return given.absolute()
    if os.geteuid() == 0:
        return DATA_DIR
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local/state") / "gitward"


def kubeconfig_of(given: Path | None, data_dir: Path | None) -> Path:
    """The kubeconfig: the flag's or KUBECONFIG's, else the one in the data directory. Raises WrongUsage."""
    if given is not None:
        return given
    directory = data_dir_of(data_dir)
    found = directory / KUBECONFIG_NAME
    if not found.exists():
        raise WrongUsage(
            f"no master known: {found} is not there; start one (`gitward up`), or name one by --kubeconfig,"
            " KUBECONFIG or --data-dir"
        )
    return found


def age_key_file_of(given: Path | None, data_dir: Path) -> Path | None:
    """Where age keys are sought: the flag, SOPS_AGE_KEY_FILE, D/age.key. None: there is none."""
    if given is not None:
        return given
    if named := os.environ.get("SOPS_AGE_KEY_FILE"):
        return Path(named)
    standard = data_dir / "age.key"
    return standard if standard.exists() else None


def stated_in(config: Path | None, known: frozenset[str]) -> dict[str, Any]:
    """The flags that a `gitward.yaml` states, by their long names with underscores. Raises WrongUsage.

    Without `config`, the file of this folder is taken, but never one that lies in a git work tree: what a repository
    holds may be anybody's, and must not decide where we connect or whose key is read.
    """
    path = config or CONFIG_FILE
    if config is None and not path.exists():
        return {}
    if config is None and _in_work_tree(Path.cwd()):
        print(f"{path}: lies in a git work tree, so it is not read; name it by --config", file=sys.stderr)
        return {}
    try:
        stated = yaml.safe_load(path.read_text()) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise WrongUsage(f"{path}: {error}") from error
    if not isinstance(stated, dict):
        raise WrongUsage(f"{path}: found {type(stated).__name__}, wanted flags as keys (`repo: https://…`)")
    flags = {str(name).replace("-", "_"): value for name, value in stated.items()}
    if unknown := sorted(flags.keys() - known):
        close = get_close_matches(unknown[0], sorted(known), n=1)
        advice = f", did you mean {close[0].replace('_', '-')}?" if close else ""
        raise WrongUsage(f"{path}: {unknown[0].replace('_', '-')} is no flag of any command{advice}")
    return flags


def _in_work_tree(folder: Path) -> bool:
    return any((above / ".git").exists() for above in (folder, *folder.parents))
