"""A pod's service account: it must be there, lends the pod its pull secrets, and its token is mounted unless refused.

`default` counts as there even while its controller has not made it yet: the pod's node waits for it.
Source: Kubernetes' plug-in ServiceAccount, 1.35.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

from gitops.admission.refusal import forbidden
from gitops.kinds.core.containers import Container
from gitops.kinds.core.pod import MIRROR, POD, Pod
from gitops.kinds.core.pod_types import PodSpec
from gitops.kinds.core.service_account import (
    CA_KEY,
    DEFAULT,
    ROOT_CA,
    SERVICE_ACCOUNT,
    ServiceAccount,
    account_key,
)
from gitops.kinds.core.volumes import Volume
from gitops.kinds.lately import Lately
from gitops.reconcile import Reader

MOUNT_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
VOLUME_PREFIX: Final = "kube-api-access-"
TOKEN_SECONDS: Final = 3_607  # The kubelet's clients know this number: a mounted token.
FILE_MODE: Final = 0o644


def with_account(view: Reader, pod: Pod) -> Pod:
    """A new pod as its account completes it. Raises Forbidden for an account that does not exist."""
    spec, meta = pod["spec"], pod["metadata"]
    if MIRROR in (meta.get("annotations") or {}):
        return pod
    namespace, name = meta.get("namespace", ""), spec.get("serviceAccountName") or DEFAULT
    account = view.get(SERVICE_ACCOUNT, account_key(namespace, name))
    if account is None and name != DEFAULT:
        why = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        raise forbidden(POD, meta.get("name", ""), why)
    added: dict[str, Any] = {}
    if account is not None and not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        added["imagePullSecrets"] = account["imagePullSecrets"]
    if _mounts(spec, account):
        added |= _mounted(cast(Mapping[str, Any], spec))
    return cast(Pod, {**pod, "spec": {**spec, **added}}) if added else pod


def _mounts(spec: PodSpec, account: ServiceAccount | None) -> bool:
    """The pod's word goes before the account's."""
    told = spec.get("automountServiceAccountToken")
    if told is None and account is not None:
        told = account.get("automountServiceAccountToken")
    return told is not False


def _with_mounts(spec: Mapping[str, Any]) -> dict[str, Any]:
    """With a volume for those of its containers that have nothing at that path themselves."""
    volumes = spec.get("volumes") or []
    taken = {volume["name"] for volume in volumes}
    name = next(
        one for number in range(len(taken) + 1) if (one := f"{VOLUME_PREFIX}{number:05}") not in taken
    )
    found: dict[str, Any] = {}
    for field in ("initContainers", "containers"):
        before = cast(list[Container], spec.get(field) or [])
        after = [_with_mount(one, name) for one in before]
        if after != before:
            found[field] = after
    return {**found, "volumes": [*volumes, _volume(name)]} if found else {}


_mounted: Final = Lately(_with_mounts, but="nodeName")


def _with_mount(container: Container, volume: str) -> Container:
    mounts = container.get("volumeMounts") or []
    if any(mount["mountPath"].rstrip("/") == MOUNT_PATH for mount in mounts):
        return container
    added = {"name": volume, "readOnly": True, "mountPath": MOUNT_PATH}
    return cast(Container, {**container, "volumeMounts": [*mounts, added]})


def _volume(name: str) -> Volume:
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    sources: Any = [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": ROOT_CA, "items": [{"key": CA_KEY, "path": CA_KEY}]}},
        {"downwardAPI": {"items": [namespace]}},
    ]
    return {"name": name, "projected": {"sources": sources, "defaultMode": FILE_MODE}}
