"""What a pod's service account adds to it."""

from typing import Any

import pytest

from gitops.admission.service_account import MOUNT_PATH
from gitops.kinds.core.pod import POD
from gitops.kinds.errors import Forbidden
from tests.unit.admission.builders import World, pod

MOUNT = {"name": "kube-api-access-00000", "readOnly": True, "mountPath": MOUNT_PATH}


def account(name: str = "default", **fields: Any) -> Any:
    meta = {"name": name, "namespace": "shop", "uid": f"account-{name}"}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta, **fields}


def spec_of(world: World, **spec: Any) -> Any:
    return world.create(POD, pod(**spec))["spec"]


def test_a_token_the_ca_and_the_namespace_are_mounted_into_every_container() -> None:
    first = [{"name": "first", "image": "web"}]

    spec = spec_of(World(account()), initContainers=first)

    assert spec["containers"][0]["volumeMounts"][-1] == MOUNT
    assert spec["initContainers"][0]["volumeMounts"] == [MOUNT]
    sources = spec["volumes"][-1]["projected"]["sources"]
    assert spec["volumes"][-1]["name"] == "kube-api-access-00000"
    assert [next(iter(one)) for one in sources] == ["serviceAccountToken", "configMap", "downwardAPI"]
    assert sources[0]["serviceAccountToken"] == {"expirationSeconds": 3607, "path": "token"}
    assert sources[1]["configMap"]["name"] == "kube-root-ca.crt"


@pytest.mark.parametrize(
    ("of_account", "of_pod", "mounted"),
    [
        (None, None, True),
        (False, None, False),
        (False, True, True),
        (True, False, False),
        (None, False, False),
    ],
)
def test_the_pods_word_goes_before_the_accounts(
    of_account: bool | None, of_pod: bool | None, mounted: bool
) -> None:
    def told(value: bool | None) -> Any:
        return {} if value is None else {"automountServiceAccountToken": value}

    spec = spec_of(World(account(**told(of_account))), **told(of_pod))

    assert ("volumes" in spec) == mounted


def test_a_container_that_has_something_there_keeps_it() -> None:
    own = [{"name": "own", "mountPath": MOUNT_PATH}]
    containers = [{"name": "web", "image": "web", "volumeMounts": own}]

    spec = spec_of(World(account()), containers=containers, volumes=[{"name": "own", "emptyDir": {}}])

    assert [volume["name"] for volume in spec["volumes"]] == ["own"]
    assert [mount["name"] for mount in spec["containers"][0]["volumeMounts"]] == ["own"]


def test_a_volume_of_that_name_is_not_taken() -> None:
    spec = spec_of(World(account()), volumes=[{"name": "kube-api-access-00000", "emptyDir": {}}])

    assert [volume["name"] for volume in spec["volumes"]] == [
        "kube-api-access-00000",
        "kube-api-access-00001",
    ]


def test_its_pull_secrets_are_lent_to_a_pod_that_has_none() -> None:
    lent, own = [{"name": "lent"}], [{"name": "own"}]
    world = World(account(imagePullSecrets=lent))

    assert spec_of(world)["imagePullSecrets"] == lent
    assert world.create(POD, pod("b", imagePullSecrets=own))["spec"]["imagePullSecrets"] == own


def test_default_is_there_even_before_it_is_made_and_no_other_is() -> None:
    assert "volumes" in spec_of(World())
    with pytest.raises(Forbidden, match='service account shop/robot: serviceaccount "robot" not found'):
        spec_of(World(), serviceAccountName="robot")
