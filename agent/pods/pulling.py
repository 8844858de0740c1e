"""Images: whether one is pulled for a container, with which logins, and what its pod is told of it.

Source: kubernetes/pkg/kubelet/images/image_manager.go, 1.35.
"""

import asyncio
import re
from collections.abc import Iterator
from time import monotonic
from typing import Final

from agent.pods.credentials import CONFIG_KEY, OLD_CONFIG_KEY, Keyring, Login, logins_in
from agent.pods.means import Means
from agent.pods.refused import Refused
from agent.runtime.progress import PullProgress
from agent.runtime.protocol import ImageState
from agent.volumes.references import Lookup, Reference, value_of
from gitops.kinds.core.pod import Container, Pod
from gitops.kinds.errors import GitwardError

# distribution/reference: host and port, path, tag, digest.
_COMPONENT: Final = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_HOST: Final = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*"
_NAME: Final = re.compile(
    rf"(?:(?:{_HOST}|\[[0-9a-fA-F:]+\])(?::[0-9]+)?/)?{_COMPONENT}(?:/{_COMPONENT})*"
    r"(?::[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9]*:[0-9a-fA-F]{32,})?"
)
NAME_CHARACTERS_MAX: Final = 512
PROGRESS_SECONDS: Final = 30.0  # Until a pull is told of again; doubled each time.


async def ensure_image(means: Means, pod: Pod, container: Container, *, absent: bool = False) -> bool:
    """True if it was pulled now. `absent`: the engine said that it lacks the image; else only `Always` pulls."""
    image, policy, name = container["image"], container["imagePullPolicy"], container["name"]
    if not is_image_name(image):
        why = f'couldn\'t parse image name "{image}": invalid reference format'
        message = f'Failed to apply default image tag "{image}": {why}'
        means.api.event(pod, "Warning", "InspectFailed", message, name)
        raise Refused("InvalidImageName", message)
    if policy == "Never":
        if absent:
            message = f'Container image "{image}" is not present with pull policy of Never'
            means.api.event(pod, "Warning", "ErrImageNeverPull", message, name)
            raise Refused("ErrImageNeverPull", message)
        return False
    if policy != "Always" and not absent:
        return False
    means.api.event(pod, "Normal", "Pulling", f'Pulling image "{image}"', name)
    began = monotonic()
    try:
        logins = (*logins_of(pod, means.sources), *await means.pulls.node_logins(image))
        found, seconds = await _told(means, pod, container, Keyring(logins))
    except GitwardError as error:
        message = f'Failed to pull image "{image}": {error}'
        means.api.event(pod, "Warning", "Failed", message, name)
        raise Refused("ErrImagePull", str(error)) from error
    took = f"in {_go(seconds)} ({_go(monotonic() - began)} including waiting)"
    message = f'Successfully pulled image "{image}" {took}. Image size: {found.size_bytes} bytes.'
    means.api.event(pod, "Normal", "Pulled", message, name)
    return True


async def _told(means: Means, pod: Pod, container: Container, keyring: Keyring) -> tuple[ImageState, float]:
    """Pulled; one that takes long is told of now and then, ever more seldom."""
    image, progress = container["image"], PullProgress()
    pull = asyncio.ensure_future(means.pulls.pull(image, keyring, progress))
    pause = PROGRESS_SECONDS
    try:
        while True:
            ticking = asyncio.ensure_future(means.sleep(pause))
            try:
                await asyncio.wait((pull, ticking), return_when=asyncio.FIRST_COMPLETED)
            finally:
                ticking.cancel()
            if pull.done():
                return pull.result()
            message = f'Pulling image "{image}": {how_far(progress)}'
            means.api.event(pod, "Normal", "Pulling", message, container["name"])
            pause *= 2
    finally:
        if not pull.done():
            pull.cancel()
            await asyncio.wait((pull,))


def how_far(progress: PullProgress) -> str:
    if not progress.total_bytes:
        return "waiting for other pulls, or for the registry"
    done, total = (f"{amount / 1e6:.0f} MB" for amount in (progress.done_bytes, progress.total_bytes))
    return f"{done} of {total} downloaded" if done != total else f"{total} downloaded, unpacking"


def is_image_name(image: str) -> bool:
    return len(image) <= NAME_CHARACTERS_MAX and _NAME.fullmatch(image) is not None


def logins_of(pod: Pod, lookup: Lookup) -> Iterator[tuple[str, Login]]:
    """Of the pod's pull secrets. One that is absent or of another type is passed over."""
    namespace = pod["metadata"].get("namespace", "")
    for named in pod["spec"].get("imagePullSecrets", ()):
        reference = Reference("Secret", namespace, named.get("name", ""))
        for key in (CONFIG_KEY, OLD_CONFIG_KEY):
            text = value_of(lookup, reference, key, optional=True)
            if text is not None:
                yield from logins_in(key, text)


def _go(seconds: float) -> str:
    """As Go prints a duration rounded to milliseconds: 80ms, 1.234s, 1m5.2s."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    minutes, rest = divmod(seconds, 60)
    text = f"{rest:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{minutes:.0f}m{text}" if minutes else text
