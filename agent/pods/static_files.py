"""Static pods: manifests in a directory of the node, which its agent runs whether there is a master or not.

Pure but for `read`. A pod's uid is made from what its file states: a change makes another pod, a restart of the agent
does not. Source: kubernetes/pkg/kubelet/config (`applyDefaults`, `file.go`).
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, cast

import orjson

from agent.volumes.references import references
from gitops.kinds import schema
from gitops.kinds.core.pod import MIRROR, POD, Pod
from gitops.kinds.errors import GitwardError, Invalid
from gitops.kinds.kind import Problem
from gitops.kinds.objects import annotations_of, with_meta
from gitops.kinds.yaml import load

HASH: Final = "kubernetes.io/config.hash"
SOURCE: Final = "kubernetes.io/config.source"
FILE: Final = "file"
API: Final = "api"
FILE_MAX_BYTES: Final = 1 << 20
NAMESPACE: Final = "default"
EVERYTHING: Final = {"operator": "Exists", "effect": "NoExecute"}  # No taint drives it away.
CLAIMING: Final = ("persistentVolumeClaim", "ephemeral", "csi")


def is_static(pod: Pod) -> bool:
    """As the agent has it: not the mirror of one."""
    annotations = annotations_of(pod)
    return annotations.get(SOURCE) == FILE and MIRROR not in annotations


def of_api(pod: Pod) -> Pod:
    """A pod as the API tells it: none that calls itself static is. As the kubelet, which says where a pod is from."""
    if SOURCE not in annotations_of(pod):
        return pod
    return with_meta(pod, annotations={**annotations_of(pod), SOURCE: API})


def is_mirror(pod: Pod) -> bool:
    return MIRROR in annotations_of(pod)


def read(directory: Path) -> tuple[dict[Path, bytes], dict[Path, str]]:
    """The manifests of a directory, and why some could not be read. Names that begin with a dot are passed over."""
    texts, problems = dict[Path, bytes](), dict[Path, str]()
    try:
        paths = sorted(path for path in directory.iterdir() if not path.name.startswith("."))
    except OSError as error:
        return {}, {directory: error.strerror or str(error)}
    for path in paths:
        try:
            if not path.is_file():
                continue
            if path.stat().st_size > FILE_MAX_BYTES:
                problems[path] = f"longer than {FILE_MAX_BYTES} bytes"
                continue
            texts[path] = path.read_bytes()
        except OSError as error:
            problems[path] = error.strerror or str(error)
    return texts, problems


def static_pod(text: bytes, path: Path, node: str) -> Pod:
    """The pod that a file states, as this node runs it. Raises Invalid and Unreadable, naming the file."""
    documents = load(text, str(path))
    if len(documents) != 1 or not isinstance(documents[0].value, dict):
        raise Invalid(f"{path}: found {len(documents)} objects, wanted one Pod")
    stated: Mapping[str, Any] = documents[0].value
    if (stated.get("apiVersion"), stated.get("kind")) != ("v1", "Pod"):
        raise Invalid(f"{path}: found {stated.get('apiVersion')} {stated.get('kind')}, wanted v1 Pod")
    stated = {"metadata": {}, **stated}
    _refuse(path, schema.violations(POD, cast(Pod, stated)))
    meta: Mapping[str, Any] = stated["metadata"]
    if not meta.get("name"):
        raise Invalid(f"{path}: metadata.name: Required value")
    words = orjson.dumps([node, str(path), stated], option=orjson.OPT_SORT_KEYS)
    digest = hashlib.sha256(words).hexdigest()[:32]
    pod = POD.defaults(
        cast(
            Pod,
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": f"{meta['name']}-{node}",
                    "namespace": meta.get("namespace") or NAMESPACE,
                    "uid": f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:]}",
                    "resourceVersion": "1",
                    "generation": 1,
                    "labels": meta.get("labels") or {},
                    "annotations": {**(meta.get("annotations") or {}), HASH: digest, SOURCE: FILE},
                },
                "spec": {**stated.get("spec", {}), "nodeName": node},
            },
        )
    )
    spec: dict[str, Any] = {**pod["spec"]}
    spec["tolerations"] = [*(spec.get("tolerations") or ()), EVERYTHING]
    pod = cast(Pod, {**pod, "spec": spec})
    _refuse(path, [*POD.check(pod), *POD.check_create(pod), *_referring(pod)])
    return pod


def _referring(pod: Pod) -> Iterable[Problem]:
    """What can only be had from a master, which may be away."""
    spec = pod["spec"]
    if references(pod):
        yield Problem(
            "spec", "Forbidden: a static pod may not refer to Secrets, ConfigMaps or a RuntimeClass"
        )
    if any(kind in volume for volume in spec.get("volumes", ()) for kind in CLAIMING):
        yield Problem("spec.volumes", "Forbidden: a static pod may not refer to claims")
    if cast(Mapping[str, object], spec).get("serviceAccountName"):
        yield Problem("spec.serviceAccountName", "Forbidden: a static pod has no service account")


def _refuse(path: Path, problems: Iterable[Problem]) -> None:
    told = "; ".join(f"{one.field}: {one.message}" for one in problems)
    if told:
        raise Invalid(f"{path}: {told}")


def pods_of(texts: Mapping[Path, bytes], node: str) -> tuple[dict[str, Pod], dict[Path, str]]:
    """The pods of a directory by uid, and why some files make none. Of two of one name the first file's is taken."""
    pods, problems, taken = dict[str, Pod](), dict[Path, str](), dict[tuple[str, str], Path]()
    for path, text in texts.items():
        try:
            pod = static_pod(text, path, node)
        except GitwardError as error:
            problems[path] = str(error)
            continue
        meta = pod["metadata"]
        name = (meta.get("namespace", ""), meta.get("name", ""))
        if name in taken:
            problems[path] = f"{path}: {taken[name]} states the pod {name[0]}/{name[1]} already"
            continue
        taken[name] = path
        pods[meta.get("uid", "")] = pod
    return pods, problems
