"""The error of a step that could not be carried out, with Kubernetes' reason for it."""

from gitops.kinds.errors import GitwardError


class Refused(GitwardError):
    """`why`: ErrImagePull, … `passing`: its cause goes by itself (an engine that is away): not the pod's fault."""

    def __init__(self, why: str, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.why = why
        self.passing = passing
