"""The shape of a pod's volumes (core/v1, API reference 1.35).

Sources that are not here are stored, and reported as not acted on yet.
"""

from typing import NotRequired, TypedDict

from gitops.kinds.core.containers import ObjectFieldSelector, ResourceFieldSelector


class KeyToPath(TypedDict):
    key: str
    path: str
    mode: NotRequired[int]


class EmptyDirVolumeSource(TypedDict):
    medium: NotRequired[str]  # Memory is tmpfs.
    sizeLimit: NotRequired[str]


class HostPathVolumeSource(TypedDict):
    path: str
    type: str  # '', DirectoryOrCreate, Directory, FileOrCreate, File, Socket, CharDevice, BlockDevice.


class NFSVolumeSource(TypedDict):
    server: str
    path: str
    readOnly: NotRequired[bool]


class PersistentVolumeClaimVolumeSource(TypedDict):
    claimName: str
    readOnly: NotRequired[bool]


class ConfigMapVolumeSource(TypedDict):
    defaultMode: int
    name: NotRequired[str]
    items: NotRequired[list[KeyToPath]]
    optional: NotRequired[bool]


class SecretVolumeSource(TypedDict):
    defaultMode: int
    secretName: NotRequired[str]
    items: NotRequired[list[KeyToPath]]
    optional: NotRequired[bool]


class DownwardAPIVolumeFile(TypedDict):
    path: str
    fieldRef: NotRequired[ObjectFieldSelector]
    resourceFieldRef: NotRequired[ResourceFieldSelector]
    mode: NotRequired[int]


class DownwardAPIVolumeSource(TypedDict):
    defaultMode: int
    items: NotRequired[list[DownwardAPIVolumeFile]]


class ConfigMapProjection(TypedDict):
    name: NotRequired[str]
    items: NotRequired[list[KeyToPath]]
    optional: NotRequired[bool]


class SecretProjection(TypedDict):
    name: NotRequired[str]
    items: NotRequired[list[KeyToPath]]
    optional: NotRequired[bool]


class DownwardAPIProjection(TypedDict):
    items: NotRequired[list[DownwardAPIVolumeFile]]


class ServiceAccountTokenProjection(TypedDict):
    path: str
    expirationSeconds: int  # At least 600.
    audience: NotRequired[str]  # '': the API server's own.


class VolumeProjection(TypedDict):
    """Exactly one is there."""

    configMap: NotRequired[ConfigMapProjection]
    secret: NotRequired[SecretProjection]
    downwardAPI: NotRequired[DownwardAPIProjection]
    serviceAccountToken: NotRequired[ServiceAccountTokenProjection]


class ProjectedVolumeSource(TypedDict):
    defaultMode: int
    sources: NotRequired[list[VolumeProjection]]


class Volume(TypedDict):
    """Exactly one source is there."""

    name: str
    emptyDir: NotRequired[EmptyDirVolumeSource]
    hostPath: NotRequired[HostPathVolumeSource]
    persistentVolumeClaim: NotRequired[PersistentVolumeClaimVolumeSource]
    nfs: NotRequired[NFSVolumeSource]
    configMap: NotRequired[ConfigMapVolumeSource]
    secret: NotRequired[SecretVolumeSource]
    projected: NotRequired[ProjectedVolumeSource]
    downwardAPI: NotRequired[DownwardAPIVolumeSource]
