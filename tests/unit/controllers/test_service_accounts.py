"""What every namespace has by itself."""

from gitops.controllers.service_accounts import service_accounts
from gitops.kinds.core.config import CONFIG_MAP, ConfigMap
from gitops.kinds.core.namespace import NAMESPACE
from gitops.kinds.core.service_account import SERVICE_ACCOUNT, comes_by_itself
from gitops.kinds.objects import with_meta
from tests.unit.controllers.world import NAMESPACE_NAME, NOW, World, a_namespace

CONTROLLER = service_accounts("the CA")


def settled(*objects: object) -> World:
    world = World(*objects)  # type: ignore[arg-type]
    world.settle(world.runner(CONTROLLER))
    return world


def test_a_namespace_gets_its_account_and_the_ca() -> None:
    world = settled()

    made = world.view.get(CONFIG_MAP, CONFIG_MAP.key(NAMESPACE_NAME, "kube-root-ca.crt"))
    account = world.view.get(SERVICE_ACCOUNT, SERVICE_ACCOUNT.key(NAMESPACE_NAME, "default"))
    assert made is not None
    assert made.get("data") == {"ca.crt": "the CA"}
    assert account is not None
    assert comes_by_itself(made)
    assert comes_by_itself(account)
    assert not CONTROLLER.reconcile(world.view, NAMESPACE.key("", NAMESPACE_NAME), NOW)


def test_what_someone_changes_or_removes_comes_back() -> None:
    world = settled()
    found = world.view.get(CONFIG_MAP, CONFIG_MAP.key(NAMESPACE_NAME, "kube-root-ca.crt"))
    assert found is not None

    changed: ConfigMap = {**found, "data": {"ca.crt": "another CA"}}
    world.put(changed)
    world.settle(world.runner(CONTROLLER))

    again = world.view.get(CONFIG_MAP, CONFIG_MAP.key(NAMESPACE_NAME, "kube-root-ca.crt"))
    assert again is not None
    assert again.get("data") == {"ca.crt": "the CA"}


def test_a_namespace_that_goes_gets_nothing() -> None:
    going = with_meta(a_namespace("old"), deletionTimestamp="2026-01-02T03:04:05Z", finalizers=["kubernetes"])

    world = settled(going)

    assert world.view.get(SERVICE_ACCOUNT, SERVICE_ACCOUNT.key("old", "default")) is None


def test_other_objects_do_not_come_by_themselves() -> None:
    other = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "default", "namespace": "shop"}}

    assert not comes_by_itself(other)  # type: ignore[arg-type]
