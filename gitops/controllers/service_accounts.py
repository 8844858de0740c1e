"""What every namespace has by itself: the account `default`, and the ConfigMap by which pods know the API server.

Source: kubernetes/pkg/controller/serviceaccount and pkg/controller/certificates/rootcacertpublisher, 1.35.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, cast

from gitops.kinds.core.config import CONFIG_MAP, ConfigMap
from gitops.kinds.core.namespace import NAMESPACE
from gitops.kinds.core.service_account import (
    CA_KEY,
    DEFAULT,
    ROOT_CA,
    SERVICE_ACCOUNT,
    ServiceAccount,
    comes_by_itself,
)
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, is_going, key_of
from gitops.reconcile import NOTHING, Controller, Reader, Trigger, Writes

DESCRIPTION: Final = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as "
    "the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of "
    "Kubernetes clusters."
)


def service_accounts(ca: str) -> Controller:
    """The controller for a cluster whose certificate authority is `ca`, PEM."""

    def reconcile(view: Reader, key: Key, now: datetime) -> Writes:
        """Make what a namespace lacks; put the CA back where someone changed it. Nothing in one that is going."""
        namespace = view.get(NAMESPACE, key)
        if namespace is None or is_going(namespace):
            return NOTHING
        create: list[KubeObject] = []
        if view.get(SERVICE_ACCOUNT, SERVICE_ACCOUNT.key(key.name, DEFAULT)) is None:
            create.append(_account(key.name))
        known, wanted = view.get(CONFIG_MAP, CONFIG_MAP.key(key.name, ROOT_CA)), {CA_KEY: ca}
        if known is None:
            create.append(_root_ca(key.name, ca))
        elif known.get("data") != wanted:
            return Writes(create=tuple(create), update=(cast(ConfigMap, {**known, "data": wanted}),))
        return Writes(create=tuple(create))

    return Controller(
        "service-accounts",
        reconcile,
        (
            Trigger("", "Namespace", lambda _, obj: (key_of(obj),)),
            Trigger("", "ServiceAccount", _of_content),
            Trigger("", "ConfigMap", _of_content),
        ),
        resync=lambda view: (key_of(one) for one in view.list(NAMESPACE)),
    )


def _of_content(_: Reader, obj: KubeObject) -> Iterable[Key]:
    return (NAMESPACE.key("", obj["metadata"].get("namespace", "")),) if comes_by_itself(obj) else ()


def _account(namespace: str) -> ServiceAccount:
    return {
        "apiVersion": SERVICE_ACCOUNT.api_version,
        "kind": SERVICE_ACCOUNT.kind,
        "metadata": {"name": DEFAULT, "namespace": namespace},
    }


def _root_ca(namespace: str, ca: str) -> ConfigMap:
    return {
        "apiVersion": CONFIG_MAP.api_version,
        "kind": CONFIG_MAP.kind,
        "metadata": {
            "name": ROOT_CA,
            "namespace": namespace,
            "annotations": {"kubernetes.io/description": DESCRIPTION},
        },
        "data": {CA_KEY: ca},
    }
