"""Families: what is counted of pods that come and go, and that nothing of those that are gone stays."""

from gitops.controllers.families import families_of
from gitops.kinds.core.pod import POD
from tests.unit.controllers.world import NAMESPACE_NAME, World, a_pod


def test_label_sets_of_pods_that_are_gone_are_forgotten() -> None:
    """Symptom: each run of a CronJob left the labels of its pod behind for ever."""
    world = World(a_pod("stays", labels={"app": "web"}))
    families = families_of(world.view)
    for run in range(3_000):
        world.put(a_pod("job", labels={"batch.kubernetes.io/controller-uid": str(run)}))
        families_of(world.view)
        world.remove(POD.key(NAMESPACE_NAME, "job"))
    families_of(world.view)

    assert len(families._labels) < 2_000
    assert families.of("").active == 1
    assert list(families.of("").labels) == [(frozenset({("app", "web")}), True)]
