"""storage.k8s.io/v1: StorageClass, how volumes are made that claims ask for (API reference 1.35).

Gitward itself makes volumes of `PROVISIONERS`: directories on nodes, as Rancher's local-path provisioner does, so that
manifests written for k3s work. Claims of other classes wait for volumes that somebody makes.
"""

from collections.abc import Iterator
from typing import Final, Literal, NotRequired

from gitops.kinds import wording
from gitops.kinds.core.storage import DRIVER
from gitops.kinds.filling import fill, fill_zero
from gitops.kinds.kind import Kind, Problem
from gitops.kinds.objects import KubeObject, annotations_of
from gitops.kinds.official_tables import DEFAULT_CLASS, TABLES

PROVISIONERS: Final = (DRIVER, "rancher.io/local-path")
LATE: Final = "WaitForFirstConsumer"
LOCAL_PATH: Final = "local-path"


class StorageClass(KubeObject):
    provisioner: str
    reclaimPolicy: Literal["Delete", "Retain"]
    volumeBindingMode: Literal["Immediate", "WaitForFirstConsumer"]
    mountOptions: NotRequired[list[str]]


def is_default(one: StorageClass) -> bool:
    """Whether claims that name no class get this one."""
    return annotations_of(one).get(DEFAULT_CLASS) == "true"


def default_storage_class(one: StorageClass) -> StorageClass:
    return fill_zero(fill(one, provisioner=""), reclaimPolicy="Delete", volumeBindingMode="Immediate")


def check_storage_class(one: StorageClass) -> Iterator[Problem]:
    if not one["provisioner"]:
        yield wording.required("provisioner")
    yield from wording.one_of("reclaimPolicy", one["reclaimPolicy"], ("Delete", "Retain"))
    yield from wording.one_of("volumeBindingMode", one["volumeBindingMode"], ("Immediate", LATE))


def check_storage_class_update(old: StorageClass, new: StorageClass) -> Iterator[Problem]:
    for field in ("provisioner", "reclaimPolicy", "volumeBindingMode"):
        if old[field] != new[field]:
            yield wording.forbidden(field, f"updates to {field} are forbidden.")


STORAGE_CLASS: Final[Kind[StorageClass]] = Kind(
    "storage.k8s.io/v1",
    "StorageClass",
    "storageclasses",
    namespaced=False,
    short=("sc",),
    shape=StorageClass,
    defaults=default_storage_class,
    check=check_storage_class,
    check_update=check_storage_class_update,
    columns=TABLES["StorageClass"].columns,
    cells=TABLES["StorageClass"].cells,
)
