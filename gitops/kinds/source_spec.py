"""What a `GitSource` says: which repository, which of its folders are apps, whose signatures a commit needs.

Not here: which URLs may be followed, which depends on who states the source; sync decides it.
"""

from collections.abc import Iterator
from typing import Final, Literal, NotRequired, TypedDict

from gitops.kinds import wording
from gitops.kinds.kind import Problem
from gitops.kinds.names import dns_label, dns_subdomain

INTERVAL_SECONDS_MIN: Final = 1
APPS_MAX: Final = 1_000  # That a source names; patterns may match more.
KEYS_CHARACTERS_MAX: Final = 256_000


class SourceApp(TypedDict):
    """A folder that fails and succeeds alone. `path` may be a pattern such as `apps/*`: then each folder that matches
    is an app, named as the folder, and `name` is absent."""

    path: str
    name: NotRequired[str]


class SecretReference(TypedDict):
    name: str
    namespace: NotRequired[str]  # Absent: default.


class Verification(TypedDict):
    """Whose signatures a commit needs. Public keys, so they may stand here."""

    allowedSigners: NotRequired[str]  # Lines as in ssh-keygen(1), ALLOWED SIGNERS.
    gpgKeys: NotRequired[str]  # Armored public keys.
    commits: NotRequired[Literal["all", "firstParent"]]  # Absent: all.


class ForgeSpec(TypedDict):
    """Where commit statuses go, if the source's own URL does not tell."""

    type: NotRequired[Literal["github", "gitlab", "gitea", "bitbucket", "bitbucket-server", "azure"]]
    url: NotRequired[str]  # The repository's page.


class GitSourceSpec(TypedDict):
    url: str  # Without credentials: those lie in files of the operator, or in the Secret that `secretRef` names.
    branch: NotRequired[str]  # Absent: the remote's HEAD.
    path: NotRequired[str]
    apps: NotRequired[list[SourceApp]]  # Absent: everything below `path` is one app, named as the source.
    intervalSeconds: NotRequired[float]
    allowMacOnlyEncrypted: NotRequired[bool]  # Of Secrets: their names could be changed unseen.
    requireFastForward: NotRequired[bool]  # A rewritten branch is refused instead of followed.
    verify: NotRequired[Verification]
    secretRef: NotRequired[SecretReference]
    forge: NotRequired[ForgeSpec]


def check_spec(spec: GitSourceSpec) -> Iterator[Problem]:
    """Every broken rule of `spec` that its shape does not show."""
    if not spec["url"]:
        yield wording.required("spec.url")
    interval = spec.get("intervalSeconds", INTERVAL_SECONDS_MIN)
    if interval < INTERVAL_SECONDS_MIN:
        yield wording.invalid("spec.intervalSeconds", interval, f"must be at least {INTERVAL_SECONDS_MIN}")
    if "apps" in spec:
        yield from _check_apps(spec["apps"])
    if "verify" in spec:
        yield from _check_verification(spec["verify"])
    if "secretRef" in spec:
        reference = spec["secretRef"]
        for name, found in (
            ("name", reference["name"]),
            ("namespace", reference.get("namespace", "default")),
        ):
            if wrong := dns_subdomain(found):
                yield wording.invalid(f"spec.secretRef.{name}", found, wrong)


def is_pattern(path: str) -> bool:
    """Whether an app's path stands for every folder that matches."""
    return any(character in path for character in "*?[")


def _check_apps(apps: list[SourceApp]) -> Iterator[Problem]:
    if not apps:
        yield wording.required("spec.apps", "a folder, or a pattern such as apps/*")
    if len(apps) > APPS_MAX:
        yield wording.too_many("spec.apps", len(apps), APPS_MAX)
    for index, app in enumerate(apps):
        at, path, name = f"spec.apps[{index}]", app["path"], app.get("name")
        if not path.strip("/"):
            yield wording.required(f"{at}.path", "a folder, or a pattern such as apps/*")
        if name is not None and is_pattern(path):
            yield wording.forbidden(f"{at}.name", "the folders that a pattern matches are named as they are")
        elif name is not None and (wrong := dns_label(name)):
            yield wording.invalid(f"{at}.name", name, wrong)


def _check_verification(verify: Verification) -> Iterator[Problem]:
    keys = {"allowedSigners": verify.get("allowedSigners", ""), "gpgKeys": verify.get("gpgKeys", "")}
    if not any(keys.values()):
        yield wording.required("spec.verify", "allowedSigners, gpgKeys or both")
    for name, text in keys.items():
        if len(text) > KEYS_CHARACTERS_MAX:
            yield wording.too_long(f"spec.verify.{name}", KEYS_CHARACTERS_MAX)
