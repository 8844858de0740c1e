"""`sources:` of `gitward.yaml`: several repositories that the operator names, each with keys of its own."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gitops.cli.seconds import seconds_of
from gitops.cli.usage import WrongUsage
from gitops.kinds.source_spec import ForgeSpec, GitSourceSpec, SourceApp, check_spec
from gitops.sync.operators import OperatorSource

SOURCES_KEY: Final = "sources"
FORGE: Final = r"^(github|gitlab|gitea|bitbucket|bitbucket-server|azure)?$"
NAME: Final = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"


class _App(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    name: str = ""


class SourceSettings(BaseModel):
    """One entry. The fields are the flags of `gitward up`; `apps` are paths or {name, path}."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=NAME)
    repo: str = Field(min_length=1)
    branch: str = ""
    path: str = ""
    apps: tuple[_App | str, ...] = ()
    interval: str = ""
    require_fast_forward: bool = False
    allow_mac_only_encrypted: bool = False
    forge: str = Field(default="", pattern=FORGE)
    forge_url: str = ""
    ssh_key_file: Path | None = None
    known_hosts: Path | None = None
    git_credentials_file: Path | None = None
    allowed_signers_file: Path | None = None
    gpg_keys_file: Path | None = None

    def operator_source(self, like: OperatorSource | None = None) -> OperatorSource:
        """What sync is told. Files that are not named here are those of `like`. Raises WrongUsage."""
        chosen = [app if isinstance(app, str) else app.model_dump(exclude_defaults=True) for app in self.apps]
        spec = spec_of(
            self.repo,
            branch=self.branch,
            path=self.path,
            apps=chosen,
            interval_seconds=seconds_of(f"sources: {self.name}: interval", self.interval)
            if self.interval
            else None,
            require_fast_forward=self.require_fast_forward,
            allow_mac_only_encrypted=self.allow_mac_only_encrypted,
            forge=self.forge,
            forge_url=self.forge_url,
        )
        if problems := list(check_spec(spec)):
            raise WrongUsage(f"sources: {self.name}: {problems[0].field}: {problems[0].message}")
        return OperatorSource(
            spec,
            self.ssh_key_file or (like.ssh_key_file if like else None),
            self.known_hosts or (like.known_hosts_file if like else None),
            self.git_credentials_file or (like.credentials_file if like else None),
            self.allowed_signers_file or (like.allowed_signers_file if like else None),
            self.gpg_keys_file or (like.gpg_keys_file if like else None),
        )


def sources_of(stated: object) -> tuple[SourceSettings, ...]:
    """The entries of a file. Raises WrongUsage, naming the entry and the key."""
    if not isinstance(stated, list):
        raise WrongUsage("sources: wanted a list, such as `- {name: shop, repo: https://…}`")
    found = tuple(_entry(number, entry) for number, entry in enumerate(stated, start=1))
    names = [source.name for source in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise WrongUsage(f"sources: {twice[0]} stands there twice")
    return found


def spec_of(
    url: str,
    *,
    branch: str,
    path: str,
    apps: list[Any],
    interval_seconds: float | None,
    require_fast_forward: bool,
    allow_mac_only_encrypted: bool = False,
    forge: str = "",
    forge_url: str = "",
) -> GitSourceSpec:
    """What is not said is left out, so that an unchanged source stays as it was."""
    spec: GitSourceSpec = {"url": url}
    if branch:
        spec["branch"] = branch
    if path:
        spec["path"] = path
    if apps:
        spec["apps"] = [SourceApp(path=app) if isinstance(app, str) else app for app in apps]
    if interval_seconds is not None:
        spec["intervalSeconds"] = interval_seconds
    if require_fast_forward:
        spec["requireFastForward"] = True
    if allow_mac_only_encrypted:
        spec["allowMacOnlyEncrypted"] = True
    if forge or forge_url:
        spec["forge"] = ForgeSpec()
    if forge:
        spec["forge"]["type"] = cast(Any, forge)  # The pattern of the flag is the list of the types.
    if forge_url:
        spec["forge"]["url"] = forge_url
    return spec


def _entry(number: int, entry: object) -> SourceSettings:
    if not isinstance(entry, dict):
        raise WrongUsage(f"sources: entry {number}: wanted keys, such as `name: shop`")
    values = {str(key).replace("-", "_"): value for key, value in entry.items()}
    try:
        return SourceSettings(**values)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"]).replace("_", "-")
        if problem["type"] == "extra_forbidden":
            known = [name.replace("_", "-") for name in SourceSettings.model_fields]
            close = get_close_matches(key, known, n=1)
            advice = f", did you mean {close[0]}?" if close else ""
            raise WrongUsage(f"sources: entry {number}: {key} is no key of a source{advice}") from error
        raise WrongUsage(f"sources: entry {number}: {key}: {problem['msg']}") from error
