"""Images: pulled by policy, with the pod's pull secrets, a bounded number at once."""

from base64 import b64decode
from collections.abc import Iterable, Mapping
from typing import Final

import orjson

from agent.pods.means import Means
from agent.pods.refused import Refused
from agent.volumes.references import Lookup, Reference, value_of
from gitops.kinds.core.pod import Container, Pod
from gitops.kinds.errors import GitwardError

DOCKER_HUB: Final = "docker.io"
HUB_NAMES: Final = ("docker.io", "index.docker.io", "registry-1.docker.io")
CONFIG_KEY: Final = ".dockerconfigjson"


async def ensure_image(means: Means, pod: Pod, container: Container, *, absent: bool = False) -> bool:
    """True if it was pulled now. `absent`: the engine said that it lacks the image; else only `Always` pulls."""
    image, policy = container["image"], container["imagePullPolicy"]
    if policy == "Never":
        if absent:
            message = f'Container image "{image}" is not present with pull policy of Never'
            means.api.event(pod, "Warning", "ErrImageNeverPull", message, container["name"])
            raise Refused("ErrImageNeverPull", message)
        return False
    if policy != "Always" and not absent:
        return False
    means.api.event(pod, "Normal", "Pulling", f'Pulling image "{image}"', container["name"])
    try:
        async with means.pulls:
            await means.runtime.pull(image, credentials(pod, image, means.sources))
    except GitwardError as error:
        message = f'Failed to pull image "{image}": {error}'
        means.api.event(pod, "Warning", "Failed", message, container["name"])
        raise Refused("ErrImagePull", str(error)) from error
    means.api.event(pod, "Normal", "Pulled", f'Successfully pulled image "{image}"', container["name"])
    return True


def registry_of(image: str) -> str:
    """The host of an image's registry, as Docker reads the name."""
    first, slash, _ = image.partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost")
    return first if is_host else DOCKER_HUB


def credentials(pod: Pod, image: str, lookup: Lookup) -> Mapping[str, str] | None:
    """User name and password from the pod's pull secrets; None: none fits. An absent pull secret is passed over."""
    registry, namespace = registry_of(image), pod["metadata"].get("namespace", "")
    for named in pod["spec"].get("imagePullSecrets", ()):
        text = value_of(
            lookup, Reference("Secret", namespace, named.get("name", "")), CONFIG_KEY, optional=True
        )
        if text is None:
            continue
        try:
            found: Mapping[str, Mapping[str, str]] = orjson.loads(text).get("auths", {})
        except (orjson.JSONDecodeError, AttributeError):
            continue
        for host, entry in found.items():
            if _names(host, registry):
                return dict(_login(entry))
    return None


def _names(host: str, registry: str) -> bool:
    plain = host.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return plain == registry or (registry == DOCKER_HUB and plain in HUB_NAMES)


def _login(entry: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    if "auth" in entry and "username" not in entry:
        name, _, password = b64decode(entry["auth"]).decode(errors="replace").partition(":")
        return (("username", name), ("password", password))
    return (("username", entry.get("username", "")), ("password", entry.get("password", "")))
