"""What a chart's folder asks for: release, namespace and values by annotations of its Chart.yaml; hooks left out. Pure.

`helm template` needs a release's name and namespace, which in git nothing else states: the folder's name and `default`.
Source for hooks: Helm, and Argo CD (docs/user-guide/helm.md).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from posixpath import normpath
from typing import Final

from gitops.kinds import registry
from gitops.kinds.yaml import Document, Json
from gitops.version import KUBERNETES_VERSION

RELEASE: Final = "gitward.io/release"
NAMESPACE: Final = "gitward.io/namespace"
VALUES: Final = "gitward.io/values"  # Files, comma-separated, seen from the chart's folder; later ones win.
HOOK: Final = "helm.sh/hook"
DEFAULT_NAMESPACE: Final = "default"
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?\Z")  # Helm's own limit is 53.
_RUN: Final = {"pre-install", "post-install", "pre-upgrade", "post-upgrade"}  # At an install or an upgrade.
_RANDOM: Final = re.compile(
    rb"\{\{[^}]*(?<![.\w$])(rand(Alpha|Ascii|Numeric|AlphaNum|Bytes|Int)|gen(CA|SelfSignedCert|SignedCert|PrivateKey)\w*"
    rb"|uuidv4|now|htpasswd|bcrypt|encryptAES)\b"
)


@dataclass(frozen=True, slots=True)
class Chart:
    """`values`: paths in the repository. `problems`: why it cannot be rendered."""

    release: str
    namespace: str
    values: tuple[str, ...] = ()
    is_library: bool = False
    problems: tuple[str, ...] = ()


def chart_of(value: Json, folder: str) -> Chart:
    """From a Chart.yaml."""
    if not isinstance(value, dict):
        return Chart("", "", problems=("a Chart.yaml is a mapping",))
    annotations = value.get("annotations")
    stated = annotations if isinstance(annotations, dict) else {}
    release = str(stated.get(RELEASE) or folder.rpartition("/")[2] or value.get("name") or "")
    namespace = str(stated.get(NAMESPACE) or DEFAULT_NAMESPACE)
    problems = [
        f"{what} {name!r} is no name: lower case letters, digits and '-', at most 53; state it in {annotation}"
        for what, name, annotation in (("release", release, RELEASE), ("namespace", namespace, NAMESPACE))
        if not _NAME.match(name)
    ]
    values = []
    for part in str(stated.get(VALUES) or "").split(","):
        if part.strip():
            path = normpath(f"{folder}/{part.strip()}" if folder else part.strip())
            values.append(path)
            if path.startswith(("..", "/")):
                problems.append(f"{VALUES}: {part.strip()!r} leaves the repository")
    is_library = value.get("type") == "library"
    return Chart(release, namespace, tuple(values), is_library, tuple(problems))


def arguments(chart: Chart, folder: str) -> tuple[str, ...]:
    """The command line, for the repository's root as current directory. Paths begin with `./`: Helm takes URLs too."""
    values = [part for path in chart.values for part in ("--values", f"./{path}")]
    version = KUBERNETES_VERSION.partition("+")[0]
    return ("helm", "template", chart.release, f"./{folder}", "--namespace", chart.namespace, "--include-crds",
            "--skip-tests", "--kube-version", version, *values)  # fmt: skip


def placed(documents: Sequence[Document], namespace: str) -> tuple[list[Document], list[str]]:
    """The objects of a chart in its namespace, and what is to be told: hooks are not run, and so left out."""
    kept: list[Document] = []
    told: list[str] = []
    for document in documents:
        hooks = _hooks(document.value)
        if not hooks or "crd-install" in hooks:
            kept.append(_in_namespace(document, namespace))
        elif hooks & _RUN:
            meta = document.value["metadata"]
            told.append(
                f"{document.value.get('kind')} {meta.get('name')} is a Helm hook ({', '.join(sorted(hooks))}): "
                "hooks are not acted on yet"
            )
    return kept, told


def draws(content: bytes) -> bool:
    """Whether a template's text asks for something that is new with every render."""
    return _RANDOM.search(content) is not None


def _hooks(value: Json) -> set[str]:
    meta = value.get("metadata") if isinstance(value, dict) else None
    annotations = meta.get("annotations") if isinstance(meta, dict) else None
    text = annotations.get(HOOK) if isinstance(annotations, dict) else None
    return {part.strip() for part in text.split(",") if part.strip()} if isinstance(text, str) else set()


def _in_namespace(document: Document, namespace: str) -> Document:
    """`helm template` leaves to its installer what namespace an object goes to."""
    value = document.value
    if not isinstance(value, dict) or not isinstance(value.get("metadata"), dict):
        return document
    group = str(value.get("apiVersion")).rpartition("/")[0]
    kind = registry.find(group, str(value.get("kind")))
    if kind is None or not kind.namespaced or value["metadata"].get("namespace"):
        return document
    meta = {**value["metadata"], "namespace": namespace}
    return Document({**value, "metadata": meta}, document.line, document.index, document.path)
