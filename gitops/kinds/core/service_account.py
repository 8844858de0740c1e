"""ServiceAccount (core/v1): the identity of pods, and what every namespace has by itself.

Source: Kubernetes API reference 1.35; plug-in ServiceAccount.
"""

from datetime import datetime
from typing import Final, NotRequired, TypedDict

from gitops.kinds.core.pod_types import LocalObjectReference
from gitops.kinds.keys import Key
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject, key_of
from gitops.kinds.tables import Row, age_of, columns, name_of

DEFAULT: Final = "default"  # Of a pod that names none.
ROOT_CA: Final = "kube-root-ca.crt"  # The ConfigMap by which pods know the API server.
CA_KEY: Final = "ca.crt"
USER_PREFIX: Final = "system:serviceaccount:"
GROUP: Final = "system:serviceaccounts"


class SecretReference(TypedDict):
    name: NotRequired[str]


class ServiceAccount(KubeObject):
    automountServiceAccountToken: NotRequired[bool]
    imagePullSecrets: NotRequired[list[LocalObjectReference]]
    secrets: NotRequired[list[SecretReference]]  # Shown only, as in Kubernetes: it restricts nothing.


def comes_by_itself(obj: KubeObject) -> bool:
    """Whether every namespace has it without anybody's asking: it goes with its namespace and holds nobody up."""
    key = key_of(obj)
    return not key.group and (key.kind, key.name) in (("ServiceAccount", DEFAULT), ("ConfigMap", ROOT_CA))


def account_key(namespace: str, name: str) -> Key:
    return SERVICE_ACCOUNT.key(namespace, name or DEFAULT)


def _cells(account: ServiceAccount, now: datetime) -> Row:
    return name_of(account), len(account.get("secrets") or ()), age_of(account, now)


SERVICE_ACCOUNT: Final[Kind[ServiceAccount]] = Kind(
    "v1",
    "ServiceAccount",
    "serviceaccounts",
    short=("sa",),
    shape=ServiceAccount,
    columns=columns("Name", "Secrets", "Age", numbers=["Secrets"]),
    cells=_cells,
)
