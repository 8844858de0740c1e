"""Which level of the Pod Security Standards holds for an object, and its refusal. Pure.

Decided on the final object, whichever road it came by: git, the API, or a controller that makes pods of a template. The
operator's level holds for all. Objects of a source that an object states, and what is made from them, are held to
`baseline` at least; a namespace's label can only ask for more, since the same repository may write it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from gitops.admission.refusal import forbidden
from gitops.admission.settings import Settings
from gitops.kinds.core.namespace import NAMESPACE
from gitops.kinds.core.pod_security import Level, stricter, violations
from gitops.kinds.core.storage import PERSISTENT_VOLUME
from gitops.kinds.gitward import DECLARED, GIT_SOURCE, declared_key
from gitops.kinds.keys import Key
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject, key_of, labels_of
from gitops.reconcile import Reader

ENFORCE: Final = "pod-security.kubernetes.io/enforce"
SOURCES_LEVEL: Final = Level.BASELINE  # Of those that an object states.
OWNERS_DEEP_MAX: Final = 5  # CronJob, Job, Pod is as deep as Kubernetes goes.
_HOST_VOLUMES: Final = ("hostPath", "local")  # Of a PersistentVolume.
_TEMPLATE_GROUPS: Final = ("", "apps", "batch")


def refuse_pod_security(
    view: Reader, kind: Kind[Any], old: KubeObject | None, new: KubeObject, settings: Settings
) -> None:
    """Forbidden: a pod, or a workload's template, asks for more than is allowed where it comes from.

    What an object had before is not held against a change of something else. `view`: its records say who states it.
    """
    if kind is PERSISTENT_VOLUME:
        _refuse_host_volume(view, old, new, settings)
        return
    found = _pods(kind, new)
    if found is None:
        return
    spec, annotations = found
    level, why = _level(view, new, settings)
    if stricter(level, SOURCES_LEVEL) is not level and any(violations(SOURCES_LEVEL, spec, annotations)):
        for source in _sources(view, new):  # Few pods get here: nobody else's need be looked for.
            if not _is_operators(view, source, settings):
                level, why = SOURCES_LEVEL, f"an object states its source {source}, not the operator"
                break
    told = dict.fromkeys(violations(level, spec, annotations))
    before = _pods(kind, old) if old is not None and told else None
    for one in violations(level, *before) if before is not None else ():
        told.pop(one, None)
    if told:
        name = new["metadata"].get("name", "")
        raise forbidden(kind, name, f'violates PodSecurity "{level}:latest": {", ".join(told)} ({why})')


def _refuse_host_volume(view: Reader, old: KubeObject | None, new: KubeObject, settings: Settings) -> None:
    """A claim would bring a path of the host into a pod that may not name one itself."""
    paths = _host_paths(new)
    if not paths or (old is not None and _host_paths(old) == paths):
        return
    for source in _sources(view, new):
        if not _is_operators(view, source, settings):
            what = f'violates PodSecurity "{SOURCES_LEVEL}:latest": hostPath volumes ({next(iter(paths))})'
            why = f"{what} (an object states its source {source}, not the operator)"
            raise forbidden(PERSISTENT_VOLUME, new["metadata"].get("name", ""), why)


def _host_paths(volume: KubeObject) -> dict[str, object]:
    spec = cast(Mapping[str, Any], volume)["spec"]
    return {name: spec[name] for name in _HOST_VOLUMES if name in spec}


def _pods(kind: Kind[Any], obj: KubeObject) -> tuple[Any, Mapping[str, str]] | None:
    """The specification and annotations of the pods that an object is or makes."""
    raw: Any = obj
    if kind.group not in _TEMPLATE_GROUPS or not isinstance(raw.get("spec"), Mapping):
        return None
    if kind.kind == "Pod":
        holder = raw
    else:
        inner = raw["spec"].get("jobTemplate")
        made = inner.get("spec") if isinstance(inner, Mapping) else raw["spec"]
        holder = made.get("template") if isinstance(made, Mapping) else None
    if not isinstance(holder, Mapping) or not isinstance(holder.get("spec"), Mapping):
        return None
    return holder["spec"], (holder.get("metadata") or {}).get("annotations") or {}


def _level(view: Reader, obj: KubeObject, settings: Settings) -> tuple[Level, str]:
    level, why = settings.pod_security, f"--pod-security {settings.pod_security}"
    name = obj["metadata"].get("namespace", "")
    namespace = view.get(NAMESPACE, Key("", "Namespace", "", name)) if name else None
    asked = labels_of(namespace).get(ENFORCE) if namespace is not None else None
    if asked in {one.value for one in Level} and stricter(level, Level(asked)) is not level:
        level, why = Level(asked), f"label {ENFORCE} of namespace {name}"
    return level, why


def _sources(view: Reader, obj: KubeObject) -> Iterator[str]:
    """Every source that states the object or one of those that it is made from."""
    left, seen = [key_of(obj)], set[Key]()
    owners: dict[Key, KubeObject] = {key_of(obj): obj}
    for _ in range(OWNERS_DEEP_MAX):
        following: list[Key] = []
        for key in left:
            seen.add(key)
            record = view.get(DECLARED, declared_key(key))
            yield from (claim["source"] for claim in record["claims"]) if record is not None else ()
            one = owners.get(key) or view.object(key)
            for reference in (one["metadata"].get("ownerReferences") or ()) if one is not None else ():
                group = reference["apiVersion"].rpartition("/")[0]
                owner = Key(group, reference["kind"], key.namespace, reference["name"])
                if owner not in seen:
                    following.append(owner)
        left = following


def _is_operators(view: Reader, name: str, settings: Settings) -> bool:
    """Whether a source says what the operator says of it: its name alone proves nothing."""
    if settings.operator_sources is None:
        return True
    stated = settings.operator_sources.get(name)
    source = view.get(GIT_SOURCE, GIT_SOURCE.key("", name))
    return stated is not None and (source is None or source["spec"] == stated)
