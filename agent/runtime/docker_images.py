"""Docker's images: looked at, pulled, removed; and the digest under which a registry knows one. Blocking calls."""

from collections.abc import Mapping
from typing import Any, Final

import docker.errors

from agent.runtime.docker_answers import image_state, split
from agent.runtime.protocol import ImageState
from gitops.kinds.errors import NotFound

IN_USE_STATUS: Final = 409
NAMES_MAX: Final = 4_096  # Images whose digests are remembered.


class DockerImages:
    """Both are docker's APIClient. `teller`: for short questions; `puller`: the one that may take long."""

    def __init__(self, puller: Any, teller: Any) -> None:
        self._puller, self._teller = puller, teller
        self._digests: dict[str, tuple[str, ...]] = {}

    def image(self, reference: str) -> ImageState:
        return image_state(self._teller.inspect_image(reference))

    def pull(self, reference: str, auth: Mapping[str, str] | None) -> ImageState:
        """Raises NotFound with the registry's words."""
        repository, tag = split(reference)
        known = dict(auth) if auth else None
        for line in self._puller.pull(repository, tag=tag, stream=True, decode=True, auth_config=known):
            if "error" in line:
                raise NotFound(line["error"])
        found = image_state(self._puller.inspect_image(reference))
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

    def pinned(self, image_id: str, reference: str) -> str:
        """`registry/name@sha256:…` of a container's image, by the name it was asked for; else the id alone."""
        if image_id not in self._digests:
            if len(self._digests) >= NAMES_MAX:
                self._digests.clear()
            try:
                self._digests[image_id] = self.image(image_id).digests
            except docker.errors.ImageNotFound:
                self._digests[image_id] = ()
        return pinned_name(self._digests[image_id], reference) or image_id


def pinned_name(digests: tuple[str, ...], reference: str) -> str:
    """Of several repositories that have the image the one that was asked for, else the first; '': none has."""
    repository, _ = split(reference)
    names = (repository, repository.removeprefix("docker.io/").removeprefix("library/"))
    return next((one for one in digests if one.partition("@")[0] in names), digests[0] if digests else "")
