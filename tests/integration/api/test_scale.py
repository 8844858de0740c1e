"""Server-side apply of `/scale`: whoever applies it owns the replicas of the object, and nothing else of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from gitops.kinds.apps import DEPLOYMENT
from tests.attacks.test_api_writes import APPLY, WEB, write
from tests.integration.api.builders import Json, a_deployment
from tests.integration.api.served import Served, serving

SCALE: Final = f"{WEB}/scale"
FORCED: Final = "fieldManager=hpa&force=true"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as served:
        served.create(a_deployment("web", replicas=2))
        yield served


def apply(
    api: Served, replicas: int | str | None, query: str = "fieldManager=hpa", **meta: str
) -> tuple[int, Json]:
    spec = {} if replicas is None else {"replicas": replicas}
    body = {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "web", **meta},
        "spec": spec,
    }
    return write(api, f"{SCALE}?{query}", APPLY, body)


def web(api: Served) -> Any:
    return api.found(DEPLOYMENT, "default", "web")


def test_an_applied_scale_is_answered_with_a_scale_and_owns_the_replicas(api: Served) -> None:
    code, scale = apply(api, 5, FORCED)

    assert (code, scale["kind"], scale["spec"]) == (200, "Scale", {"replicas": 5})
    entry = web(api)["metadata"]["managedFields"][-1]
    assert (entry["manager"], entry["operation"], entry["subresource"]) == ("hpa", "Apply", "scale")
    assert entry["fieldsV1"] == {"f:spec": {"f:replicas": {}}}
    assert web(api)["spec"]["replicas"] == 5
    assert web(api)["spec"]["template"]["spec"]["containers"] != []


def test_applied_again_it_writes_nothing(api: Served) -> None:
    apply(api, 5, FORCED)
    before = web(api)

    assert apply(api, 5)[0] == 200
    assert web(api) == before


def test_another_value_of_another_manager_is_a_conflict_until_it_is_forced(api: Served) -> None:
    code, status = apply(api, 5)
    assert 'conflict with "test" using autoscaling/v1: .spec.replicas' in status["message"]
    apply(api, 5, FORCED)

    code, status = apply(api, 7, "fieldManager=person")
    assert (code, status["reason"]) == (409, "Conflict")
    assert 'conflict with "hpa": .spec.replicas' in status["message"]
    assert web(api)["spec"]["replicas"] == 5

    assert apply(api, 7, "fieldManager=person&force=true")[0] == 200
    assert web(api)["spec"]["replicas"] == 7


def test_a_dry_run_changes_nothing(api: Served) -> None:
    code, scale = apply(api, 5, f"{FORCED}&dryRun=All")

    assert (code, scale["spec"]) == (200, {"replicas": 5})
    assert web(api)["spec"]["replicas"] == 2


def test_what_is_no_scale_is_refused(api: Served) -> None:
    assert apply(api, 5, "")[0] == 400  # Nobody by name.
    assert apply(api, -1, FORCED)[0] == 422
    assert apply(api, "many")[0] in (400, 422)
    assert apply(api, 5, FORCED, resourceVersion="1")[0] == 409
    assert (
        write(api, SCALE.replace("web", "other") + "?fieldManager=a", APPLY, {"spec": {"replicas": 1}})[0]
        == 404
    )
    code, status = apply(api, None, FORCED)
    assert code == 422
    assert "spec.replicas: Required value" in status["message"]
    assert web(api)["spec"]["replicas"] == 2
