"""Declared records for tests, and the rounds of apply until nothing is written any more."""

from typing import Any

from gitops.controllers.apply import failed, reconcile
from gitops.kinds.errors import GitwardError
from gitops.kinds.gitward import DECLARED, Claim, declared_key
from gitops.kinds.keys import Key
from gitops.kinds.objects import key_of
from tests.unit.admission.builders import NOW, World

ROUNDS_MAX = 10


def claim(
    obj: Any, commit: str = "c1", state: Any = "declared", source: str = "shop", line: int = 1
) -> Claim:
    return {
        "source": source,
        "app": source,
        "commit": commit,
        "file": f"{source}/web.yaml",
        "line": line,
        "state": state,
        "object": obj,
    }


def record(*claims: Claim, **status: str) -> Any:
    key = declared_key(key_of(claims[0]["object"]))
    meta = {"name": key.name, **({"namespace": key.namespace} if key.namespace else {})}
    body = {
        "apiVersion": "declared.gitward.io/v1",
        "kind": key.kind,
        "metadata": meta,
        "claims": list(claims),
    }
    return {**body, "status": status} if status else body


def declare(world: World, *claims: Claim) -> Key:
    """As sync does it: the claims change, the status stays."""
    key = declared_key(key_of(claims[0]["object"]))
    old: Any = world.view.get(DECLARED, key) or {}
    world.put(record(*claims, **old.get("status", {})))
    return key


def settle(world: World, *keys: Key) -> int:
    """Run until nothing is written any more; the rounds that it took."""
    for rounds in range(ROUNDS_MAX):
        wrote = False
        for key in keys:
            if writes := reconcile(world.view, key, NOW):
                wrote = True
                try:
                    world.carry_out(writes)
                except GitwardError as error:
                    told = failed(world.view, key, error, NOW)
                    wrote = bool(told)
                    world.carry_out(told)
        if not wrote:
            return rounds
    raise AssertionError(f"not settled after {ROUNDS_MAX} rounds")


def status_of(world: World, key: Key) -> Any:
    found = world.view.get(DECLARED, key)
    assert found is not None
    return found.get("status", {})


def live(world: World, key: Key) -> Any:
    group, kind = ("apps", "Deployment") if "apps" in key.kind else ("", key.kind)
    return world.view.object(Key(group, kind, key.namespace, key.name))
