"""authorization.k8s.io/v1 and authentication.k8s.io/v1: questions about who may do what. Answered, never stored."""

from typing import Any, Final

from gitops.kinds.kind import Kind

AUTHORIZATION: Final = "authorization.k8s.io/v1"
AUTHENTICATION: Final = "authentication.k8s.io/v1"


def _review(api_version: str, kind: str, *, namespaced: bool = False) -> Kind[Any]:
    return Kind(api_version, kind, f"{kind.lower()}s", namespaced=namespaced, verbs=("create",))


SELF_SUBJECT_REVIEW: Final = _review(AUTHENTICATION, "SelfSubjectReview")
SELF_SUBJECT_ACCESS_REVIEW: Final = _review(AUTHORIZATION, "SelfSubjectAccessReview")
SELF_SUBJECT_RULES_REVIEW: Final = _review(AUTHORIZATION, "SelfSubjectRulesReview")
SUBJECT_ACCESS_REVIEW: Final = _review(AUTHORIZATION, "SubjectAccessReview")
LOCAL_SUBJECT_ACCESS_REVIEW: Final = _review(AUTHORIZATION, "LocalSubjectAccessReview", namespaced=True)
TOKEN_REVIEW: Final = _review(AUTHENTICATION, "TokenReview")
TOKEN_REQUEST: Final[Kind[Any]] = Kind(AUTHENTICATION, "TokenRequest", plural="tokenrequests", verbs=())
REVIEWS: Final = (
    SELF_SUBJECT_REVIEW,
    SELF_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_RULES_REVIEW,
    SUBJECT_ACCESS_REVIEW,
    LOCAL_SUBJECT_ACCESS_REVIEW,
    TOKEN_REVIEW,
)
"""Told in discovery beside the kinds that are stored."""
