"""Which ConfigMaps, Secrets and RuntimeClass a pod needs, and what is known of them.

Pure. Secrets' values are opened here and nowhere else. A node may read only what its pods name, so this list is also
what it asks the API for.
"""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple, Protocol

from gitops.kinds.core.config import ConfigMap, Secret
from gitops.kinds.core.pod import Container, Pod
from gitops.kinds.core.volumes import ServiceAccountTokenProjection
from gitops.kinds.errors import Invalid, NotFound
from gitops.kinds.sensitive import Sensitive

MOUNTED_BY_ITSELF: Final = "kube-api-access-"  # How admission names its volume.
Source = Literal["ConfigMap", "Secret", "RuntimeClass"]
WORDS: Final[Mapping[Source, str]] = {"ConfigMap": "configmap", "Secret": "secret"}


class Reference(NamedTuple):
    """A ConfigMap, Secret or (without a namespace) RuntimeClass that a pod names."""

    kind: Source
    namespace: str
    name: str


class TokenWanted(NamedTuple):
    """A token that a pod mounts. `audience` '': the API server's. `by_itself`: no manifest asked for it."""

    namespace: str
    account: str
    pod_name: str
    pod_uid: str
    audience: str
    seconds: int
    by_itself: bool


class Lookup(Protocol):
    """What is known of ConfigMaps, Secrets and tokens now; None: there is none."""

    def config_map(self, namespace: str, name: str) -> ConfigMap | None: ...

    def secret(self, namespace: str, name: str) -> Secret | None: ...

    def token(self, wanted: TokenWanted) -> Sensitive | None: ...


def token_of(pod: Pod, volume: str, source: ServiceAccountTokenProjection) -> TokenWanted:
    """What a projection of a pod's volume asks for."""
    meta = pod["metadata"]
    return TokenWanted(
        meta.get("namespace", ""),
        pod["spec"].get("serviceAccountName", "default"),
        meta.get("name", ""),
        meta.get("uid", ""),
        source.get("audience", ""),
        source["expirationSeconds"],
        volume.startswith(MOUNTED_BY_ITSELF),
    )


def tokens_of(pod: Pod) -> frozenset[TokenWanted]:
    """Every token that a pod mounts."""
    return frozenset(
        token_of(pod, volume["name"], source["serviceAccountToken"])
        for volume in pod["spec"].get("volumes", ())
        if "projected" in volume
        for source in volume["projected"].get("sources", ())
        if "serviceAccountToken" in source
    )


def references(pod: Pod) -> frozenset[Reference]:
    """Everything that its environment, volumes, image pulls and runtime name."""
    namespace, spec = pod["metadata"].get("namespace", ""), pod["spec"]
    named = [
        *_of_volumes(pod),
        *(("Secret", one.get("name", "")) for one in spec.get("imagePullSecrets", ())),
    ]
    ephemeral = spec.get("ephemeralContainers", ())
    for container in (*spec.get("initContainers", ()), *spec["containers"], *ephemeral):
        named += _of_container(container)
    found = {Reference(kind, namespace, name) for kind, name in named if name}
    if runtime := spec.get("runtimeClassName"):
        found.add(Reference("RuntimeClass", "", runtime))
    return frozenset(found)


def _of_container(container: Container) -> Iterator[tuple[Source, str]]:
    for each in container.get("envFrom", ()):
        if "configMapRef" in each:
            yield "ConfigMap", each["configMapRef"].get("name", "")
        if "secretRef" in each:
            yield "Secret", each["secretRef"].get("name", "")
    for variable in container.get("env", ()):
        source = variable.get("valueFrom", {})
        if "configMapKeyRef" in source:
            yield "ConfigMap", source["configMapKeyRef"].get("name", "")
        if "secretKeyRef" in source:
            yield "Secret", source["secretKeyRef"].get("name", "")


def _of_volumes(pod: Pod) -> Iterator[tuple[Source, str]]:
    for volume in pod["spec"].get("volumes", ()):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"].get("name", "")
        if "secret" in volume:
            yield "Secret", volume["secret"].get("secretName", "")
        for source in volume["projected"].get("sources", ()) if "projected" in volume else ():
            if "configMap" in source:
                yield "ConfigMap", source["configMap"].get("name", "")
            if "secret" in source:
                yield "Secret", source["secret"].get("name", "")


def values_of(lookup: Lookup, reference: Reference, *, optional: bool) -> Mapping[str, bytes]:
    """The decoded values by key; empty if it is absent and optional. Raises NotFound if it is absent."""
    kind, namespace, name = reference
    if kind == "Secret":
        secret = lookup.secret(namespace, name)
        found = secret.get("data") or {} if secret is not None else None
        if found is not None:
            return {key: _decoded(reference, key, value) for key, value in found.items()}
    else:
        config = lookup.config_map(namespace, name)
        if config is not None:
            texts = {key: _bytes(value) for key, value in (config.get("data") or {}).items()}
            binary = config.get("binaryData") or {}
            return texts | {key: _decoded(reference, key, value) for key, value in binary.items()}
    if optional:
        return {}
    raise NotFound(f'{WORDS[kind]} "{name}" not found')


def value_of(lookup: Lookup, reference: Reference, key: str, *, optional: bool) -> bytes | None:
    """One value; None if it is absent and optional. Raises NotFound in Kubernetes' words."""
    values = values_of(lookup, reference, optional=optional)
    if key in values:
        return values[key]
    if optional:
        return None
    raise NotFound(f"couldn't find key {key} in {reference.kind} {reference.namespace}/{reference.name}")


def _bytes(value: str | Sensitive) -> bytes:
    return value.reveal() if isinstance(value, Sensitive) else value.encode()


def _decoded(reference: Reference, key: str, value: str | Sensitive) -> bytes:
    try:
        return b64decode(_bytes(value), validate=True)
    except Base64Error:
        where = f"{reference.kind} {reference.namespace}/{reference.name}: key {key}"
        raise Invalid(f"{where}: found no base64") from None
