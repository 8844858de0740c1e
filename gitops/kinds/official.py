"""Official kinds that are stored and shown, but not acted on yet: they have a schema and a table, and no shape.

Source: Kubernetes 1.35's API resources. A kind that Gitward begins to act on leaves this list for a module of its own.
"""

from dataclasses import replace
from typing import Any, Final

from gitops.kinds.kind import Kind
from gitops.kinds.official_tables import TABLES

_ADMISSION: Final = "admissionregistration.k8s.io/v1"
_FLOW: Final = "flowcontrol.apiserver.k8s.io/v1"
_RBAC: Final = "rbac.authorization.k8s.io/v1"
_RESOURCE: Final = "resource.k8s.io/v1"
_STORAGE: Final = "storage.k8s.io/v1"
_STATUS: Final = ("status",)
_SCALE: Final = ("status", "scale")
_ALL: Final = ("all",)
_EXTENSIONS: Final = ("api-extensions",)


def _namespaced(
    api_version: str,
    kind: str,
    plural: str,
    *short: str,
    sub: tuple[str, ...] = (),
    categories: tuple[str, ...] = (),
    fields: tuple[str, ...] = (),
) -> Kind[Any]:
    table = TABLES.get(kind)
    return Kind(
        api_version,
        kind,
        plural,
        short=short,
        subresources=sub,
        categories=categories,
        field_selectors=fields,
        columns=table.columns if table else (),
        cells=table.cells if table else None,
    )


def _cluster(
    api_version: str,
    kind: str,
    plural: str,
    *short: str,
    sub: tuple[str, ...] = (),
    categories: tuple[str, ...] = (),
    fields: tuple[str, ...] = (),
) -> Kind[Any]:
    found = _namespaced(api_version, kind, plural, *short, sub=sub, categories=categories, fields=fields)
    return replace(found, namespaced=False)


OFFICIAL: Final[tuple[Kind[Any], ...]] = (
    _namespaced("v1", "LimitRange", "limitranges", "limits"),
    _namespaced("v1", "PodTemplate", "podtemplates"),
    _namespaced(
        "v1",
        "ReplicationController",
        "replicationcontrollers",
        "rc",
        sub=_SCALE,
        categories=_ALL,
        fields=("status.replicas",),
    ),
    _namespaced("v1", "ResourceQuota", "resourcequotas", "quota", sub=_STATUS),
    _namespaced("apps/v1", "ControllerRevision", "controllerrevisions"),
    _namespaced("apps/v1", "DaemonSet", "daemonsets", "ds", sub=_STATUS, categories=_ALL),
    _namespaced("apps/v1", "StatefulSet", "statefulsets", "sts", sub=_SCALE, categories=_ALL),
    _namespaced("batch/v1", "Job", "jobs", sub=_STATUS, categories=_ALL, fields=("status.successful",)),
    _namespaced("batch/v1", "CronJob", "cronjobs", "cj", sub=_STATUS, categories=_ALL),
    _namespaced(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        "hpa",
        sub=_STATUS,
        categories=_ALL,
    ),
    _namespaced("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", "netpol"),
    _cluster("networking.k8s.io/v1", "IPAddress", "ipaddresses", "ip"),
    _cluster("networking.k8s.io/v1", "ServiceCIDR", "servicecidrs", sub=_STATUS),
    _namespaced(_RBAC, "Role", "roles"),
    _namespaced(_RBAC, "RoleBinding", "rolebindings"),
    _cluster(_RBAC, "ClusterRole", "clusterroles"),
    _cluster(_RBAC, "ClusterRoleBinding", "clusterrolebindings"),
    _cluster(
        "certificates.k8s.io/v1",
        "CertificateSigningRequest",
        "certificatesigningrequests",
        "csr",
        sub=("status", "approval"),
        fields=("spec.signerName",),
    ),
    _cluster(_STORAGE, "VolumeAttachment", "volumeattachments", sub=_STATUS),
    _cluster(_STORAGE, "CSIDriver", "csidrivers"),
    _cluster(_STORAGE, "CSINode", "csinodes"),
    _namespaced(_STORAGE, "CSIStorageCapacity", "csistoragecapacities"),
    _cluster(_STORAGE, "VolumeAttributesClass", "volumeattributesclasses", "vac"),
    _cluster(
        _ADMISSION, "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", categories=_EXTENSIONS
    ),
    _cluster(
        _ADMISSION,
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        categories=_EXTENSIONS,
    ),
    _cluster(
        _ADMISSION,
        "ValidatingAdmissionPolicy",
        "validatingadmissionpolicies",
        sub=_STATUS,
        categories=_EXTENSIONS,
    ),
    _cluster(
        _ADMISSION,
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        categories=_EXTENSIONS,
    ),
    _cluster(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        "crd",
        "crds",
        sub=_STATUS,
        categories=_EXTENSIONS,
    ),
    _cluster("apiregistration.k8s.io/v1", "APIService", "apiservices", sub=_STATUS, categories=_EXTENSIONS),
    _cluster(_FLOW, "FlowSchema", "flowschemas", sub=_STATUS),
    _cluster(_FLOW, "PriorityLevelConfiguration", "prioritylevelconfigurations", sub=_STATUS),
    _cluster(_RESOURCE, "DeviceClass", "deviceclasses"),
    _namespaced(_RESOURCE, "ResourceClaim", "resourceclaims", sub=_STATUS),
    _namespaced(_RESOURCE, "ResourceClaimTemplate", "resourceclaimtemplates"),
    _cluster(_RESOURCE, "ResourceSlice", "resourceslices"),
)
