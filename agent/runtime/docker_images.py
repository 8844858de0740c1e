"""Docker's images: looked at, loaded, removed; and the digest under which a registry knows one.

What asks the engine blocks. They are pulled over HTTP (`docker_stream.py`): a pull lasts as long as a registry likes.
"""

from typing import Any, Final

import docker.errors

from agent.runtime.docker_answers import image_state, split
from agent.runtime.protocol import ImageState

IN_USE_STATUS: Final = 409
NAMES_MAX: Final = 4_096  # Images whose digests are remembered.


class DockerImages:
    """`teller`: docker's APIClient for short questions."""

    def __init__(self, teller: Any) -> None:
        self._teller = teller
        self._digests: dict[str, tuple[str, ...]] = {}

    def image(self, reference: str) -> ImageState:
        return image_state(self._teller.inspect_image(reference))

    def pulled(self, reference: str) -> ImageState:
        """One that was pulled just now."""
        found = self.image(reference)
        self._digests.pop(found.id, None)  # The registry may know it under another name now.
        return found

    def remove(self, reference: str) -> bool:
        """False: a container uses it. Absent is fine. Never by force: what is not ours stays whole."""
        try:
            self._teller.remove_image(reference)
        except docker.errors.ImageNotFound:
            return True
        except docker.errors.APIError as error:
            if error.status_code == IN_USE_STATUS:
                return False
            raise
        return True

    def ensure(self, image_id: str, archive: bytes) -> None:
        """Loaded if it is not there."""
        try:
            self._teller.inspect_image(image_id)
        except docker.errors.NotFound:
            for _ in self._teller.load_image(archive):
                continue

    def knows(self, image_id: str) -> bool:
        return image_id in self._digests

    def learn(self, image_id: str) -> None:
        """Under which digests registries know it; none of an image that is gone."""
        if len(self._digests) >= NAMES_MAX:
            self._digests.clear()
        try:
            self._digests[image_id] = self.image(image_id).digests
        except docker.errors.ImageNotFound:
            self._digests[image_id] = ()

    def pinned(self, image_id: str, reference: str) -> str:
        """`registry/name@sha256:…` of a container's image, by the name it was asked for; else the id alone."""
        return pinned_name(self._digests.get(image_id, ()), reference) or image_id


def pinned_name(digests: tuple[str, ...], reference: str) -> str:
    """Of several repositories that have the image the one that was asked for, else the first; '': none has."""
    repository, _ = split(reference)
    names = (repository, repository.removeprefix("docker.io/").removeprefix("library/"))
    return next((one for one in digests if one.partition("@")[0] in names), digests[0] if digests else "")
