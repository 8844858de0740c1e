"""A small world for tests of admission and apply: a real view, and writes carried out as the runner does it."""

from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from gitops.admission import admit_create, admit_delete, admit_update, is_released
from gitops.kinds import registry
from gitops.kinds.core.config import ConfigMap
from gitops.kinds.core.pod import Pod
from gitops.kinds.gitward import DECLARED_GROUP
from gitops.kinds.keys import Key
from gitops.kinds.kind import Kind
from gitops.kinds.objects import KubeObject, key_of, with_meta
from gitops.reconcile import Writes
from gitops.store.contract import Put
from gitops.view import Change, View, position

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
O = TypeVar("O", bound=KubeObject)  # noqa: E741 # Any object.


class Counted:
    """A mint that counts."""

    def __init__(self) -> None:
        self.minted = 0

    def uid(self) -> str:
        self.minted += 1
        return f"uid-{self.minted}"

    def suffix(self) -> str:
        self.minted += 1
        return f"{self.minted:05}"


class World:
    """The view, and the two ways in: `put` as is, `carry_out` by admission."""

    def __init__(self, *objects: KubeObject) -> None:
        self.view = View()
        self.mint = Counted()
        self.revision = 0
        for obj in (namespace("shop"), *objects):
            self.put(obj)

    def put(self, obj: Any) -> Any:
        self.revision += 1
        stamped = with_meta(obj, resourceVersion=str(position(self.revision)))
        self._apply(key_of(obj), stamped)
        return stamped

    def remove(self, key: Key) -> None:
        self.revision += 1
        self._apply(key, None)

    def _apply(self, key: Key, obj: KubeObject | None) -> None:
        before = self.view.object(key)
        self.view.apply(Change(position(self.revision), key, before, obj, NOW))
        self.view.advance(self.revision)

    def create(self, kind: Kind[O], obj: O, manager: str | None = None) -> O:
        stored: O = self.put(admit_create(self.view, kind, obj, now=NOW, mint=self.mint, manager=manager))
        return stored

    def update(
        self, kind: Kind[Any], new: Any, manager: str | None = None, subresource: str | None = None
    ) -> Any:
        """The object as stored, None if that made it vanish."""
        old = self.view.object(key_of(new))
        admitted = admit_update(self.view, kind, old, new, now=NOW, manager=manager, subresource=subresource)
        if is_released(admitted):
            self.remove(key_of(new))
            return None
        return self.put(admitted)

    def delete(self, key: Key) -> None:
        obj = self.view.object(key)
        if obj is None or key.group == DECLARED_GROUP:
            self.remove(key)
            return
        op = admit_delete(kind_of(obj), obj, now=NOW)
        if isinstance(op, Put):
            self.put(op.obj)
        elif op is not None:
            self.remove(key)

    def carry_out(self, writes: Writes) -> None:
        """As one transaction: admission first, so that a refusal writes nothing."""
        ready = [
            admit_create(self.view, kind_of(obj), obj, now=NOW, mint=self.mint, manager="gitward")
            for obj in writes.create
        ]
        ready += [self._updated(obj) for obj in writes.update]
        for obj in ready:
            self.put(obj)
        for key in writes.delete:
            self.delete(key)
        if writes.status is not None:
            self.put(writes.status)

    def _updated(self, obj: KubeObject) -> KubeObject:
        old = self.view.object(key_of(obj))
        assert old is not None
        admitted: KubeObject = admit_update(self.view, kind_of(obj), old, obj, now=NOW, manager="gitward")
        return admitted

    def read(self, kind: Kind[O], namespace: str, name: str) -> O:
        found = self.view.get(kind, kind.key(namespace, name))
        assert found is not None, f"no {kind.kind} {namespace}/{name}"
        return found


def kind_of(obj: KubeObject) -> Kind[Any]:
    kind = registry.find(key_of(obj).group, obj["kind"])
    assert kind is not None
    return kind


def namespace(name: str, **meta: object) -> Any:
    stated = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "uid": f"ns-{name}", **meta},
    }
    return {**stated, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}


def config_map(name: str = "settings", /, **data: object) -> ConfigMap:
    meta = {"name": name, "namespace": "shop"}
    return cast(ConfigMap, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})


def pod(name: str = "web", /, **spec: object) -> Pod:
    """As a person states it."""
    containers = [{"name": "web", "image": "nginx:1.27"}]
    meta = {"name": name, "namespace": "shop"}
    body = {"containers": containers, **spec}
    return cast(Pod, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": body})


def deployment(replicas: int | None = 3, /, image: str = "nginx:1.27", **container: Any) -> Any:
    """As a person states it; `container` adds to its only container."""
    labels = {"app": "web"}
    spec: dict[str, object] = {
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "web", "image": image, **container}]},
        },
    }
    if replicas is not None:
        spec["replicas"] = replicas
    meta = {"name": "web", "namespace": "shop", "labels": labels}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


def service(name: str = "web", /, **spec: object) -> Any:
    meta = {"name": name, "namespace": "shop"}
    body = {"selector": {"app": "web"}, "ports": [{"port": 80}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": body}
