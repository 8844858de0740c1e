"""What git says: random trees of manifests, each a small change of the one before, sometimes a revert or a bad one."""

from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final, cast

from gitops.kinds.objects import KubeObject, key_of
from gitops.sync.compile import Stated

SOURCE: Final = "apps"
NAMESPACE_NAME: Final = "shop"
DEPLOYMENTS: Final = ("api", "web", "work")
SERVICES: Final = ("api", "web")
CONFIG_MAPS: Final = ("settings", "texts")
REPLICAS_MAX: Final = 5
BROKEN_IMAGE: Final = "shop/broken"  # It runs and is never ready.
LIMITS: Final = ((1, 0), ("25%", "25%"), (0, 1), (2, 1), ("50%", "50%"))  # maxSurge, maxUnavailable.


@dataclass(frozen=True, slots=True)
class App:
    """A Deployment. `replicas` None: the manifest leaves them to others."""

    replicas: int | None
    image: str
    surge: int | str
    unavailable: int | str
    recreate: bool = False


@dataclass(frozen=True, slots=True)
class Tree:
    """The manifests of one commit. No apps, services and settings: not even the namespace."""

    apps: tuple[tuple[str, App], ...] = ()
    services: tuple[str, ...] = ()
    config: tuple[tuple[str, str], ...] = ()

    def objects(self) -> tuple[KubeObject, ...]:
        if not (self.apps or self.services or self.config):
            return ()
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE_NAME}}
        stated: list[dict[str, Any]] = [namespace]
        stated += [_deployment(name, app) for name, app in self.apps]
        stated += [_service(name) for name in self.services]
        stated += [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _meta(name), "data": {"text": text}}
            for name, text in self.config
        ]
        return tuple(cast(KubeObject, one) for one in stated)


@dataclass(frozen=True, slots=True)
class Commit:
    """`allow`: its trailer. `broken`: one of its files cannot be read."""

    id: str
    tree: Tree
    allow: tuple[str, ...] = ()
    broken: bool = False

    def stated(self) -> tuple[Stated, ...]:
        """As sync has it of a commit that it can read."""
        objects = self.tree.objects()
        return tuple(Stated(key_of(obj), obj, "web.yaml", line) for line, obj in enumerate(objects, start=1))


class Repository:
    """One branch that only grows."""

    def __init__(self, random: Random) -> None:
        self._random = random
        first = Tree((("web", self._app()),), ("web",), (("settings", "v0"),))
        self.commits = [Commit(f"{1:040x}", first)]

    @property
    def head(self) -> int:
        return len(self.commits) - 1

    def index(self, commit: str) -> int:
        """Where a commit stands; -1 for none."""
        return int(commit, 16) - 1 if commit else -1

    def last_good(self) -> Commit:
        return next(commit for commit in reversed(self.commits) if not commit.broken)

    def push(self) -> Commit:
        random, tree = self._random, self.last_good().tree
        chance = random.random()
        broken, allow = False, tuple[str, ...]()
        if chance < 0.12:
            tree = random.choice(self.commits).tree  # A revert.
        elif chance < 0.18:
            tree, allow = Tree(), ("all",) if random.random() < 0.4 else ()
        elif chance < 0.24:
            broken = True
        else:
            tree = self._changed(tree)
        commit = Commit(f"{len(self.commits) + 1:040x}", tree, allow, broken)
        self.commits.append(commit)
        return commit

    def allowed(self, live: str, index: int) -> tuple[str, ...]:
        """The trailers of the commits after the live one."""
        return tuple(one for commit in self.commits[self.index(live) + 1 : index + 1] for one in commit.allow)

    def _changed(self, tree: Tree) -> Tree:
        random = self._random
        match random.randint(0, 7):
            case 0:
                return replace(tree, services=_toggled(tree.services, random.choice(SERVICES)))
            case 1:
                name, text = random.choice(CONFIG_MAPS), f"v{random.randint(0, 99)}"
                config = tuple(one for one in tree.config if one[0] != name)
                return replace(tree, config=config if random.random() < 0.3 else (*config, (name, text)))
            case 2:
                name = random.choice(DEPLOYMENTS)
                kept = tuple(one for one in tree.apps if one[0] != name)
                return replace(
                    tree, apps=kept if len(kept) < len(tree.apps) else (*kept, (name, self._app()))
                )
            case _:
                if not tree.apps:
                    return replace(tree, apps=((random.choice(DEPLOYMENTS), self._app()),))
                name, app = random.choice(tree.apps)
                apps = tuple(
                    (one, self._another(app)) if one == name else (one, old) for one, old in tree.apps
                )
                return replace(tree, apps=apps)

    def _app(self) -> App:
        surge, unavailable = self._random.choice(LIMITS)
        return App(self._random.randint(1, REPLICAS_MAX), self._image(), surge, unavailable)

    def _another(self, app: App) -> App:
        match self._random.randint(0, 5):
            case 0 | 1:
                return replace(app, replicas=self._random.randint(0, REPLICAS_MAX))
            case 2:
                chosen = None if self._random.random() < 0.5 else self._random.randint(1, REPLICAS_MAX)
                return replace(app, replicas=chosen, recreate=self._random.random() < 0.3)
            case _:
                return replace(app, image=self._image())

    def _image(self) -> str:
        name = BROKEN_IMAGE if self._random.random() < 0.15 else "shop/web"
        return f"{name}:{self._random.randint(1, 4)}"


def _toggled(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(one for one in names if one != name) if name in names else (*names, name)


def _meta(name: str) -> dict[str, Any]:
    return {"name": name, "namespace": NAMESPACE_NAME}


def _deployment(name: str, app: App) -> dict[str, Any]:
    rolling = {"maxSurge": app.surge, "maxUnavailable": app.unavailable}
    strategy = {"type": "Recreate"} if app.recreate else {"type": "RollingUpdate", "rollingUpdate": rolling}
    tolerations = [
        {
            "key": f"node.kubernetes.io/{taint}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": 10,
        }
        for taint in ("not-ready", "unreachable")
    ]
    container = {
        "name": "main",
        "image": app.image,
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}},
        "resources": {"requests": {"cpu": "1"}},
    }
    pod = {"containers": [container], "tolerations": tolerations, "terminationGracePeriodSeconds": 5}
    spec: dict[str, Any] = {
        "selector": {"matchLabels": {"app": name}},
        "strategy": strategy,
        "revisionHistoryLimit": 2,
        "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
    }
    if app.replicas is not None:
        spec["replicas"] = app.replicas
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _meta(name), "spec": spec}


def _service(name: str) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    spec = {"selector": {"app": name}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _meta(name), "spec": spec}
