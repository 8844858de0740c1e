"""Real kubectl adds an ephemeral container to a running pod, and resizes one in place."""

import json

from gitops.kinds.core.pod import POD
from tests.integration.api.builders import a_node, a_pod
from tests.integration.api.served import Served


def test_debug_adds_a_container_that_sees_anothers_processes(api: Served) -> None:
    api.create(a_node("n1"))
    api.create(a_pod("web", node="n1", ready=True))

    api.kubectl("debug", "web", "--image=shop/tools:1", "--target=main", "--container=look", "--attach=false")

    (added,) = api.found(POD, "default", "web")["spec"]["ephemeralContainers"]
    assert (added["name"], added["image"], added["targetContainerName"]) == ("look", "shop/tools:1", "main")
    assert (
        "resourceVersion"
        in json.loads(api.kubectl("get", "--raw", "/api/v1/namespaces/default/pods/web/ephemeralcontainers"))[
            "metadata"
        ]
    )


def test_a_resize_goes_by_its_subresource_alone(api: Served) -> None:
    api.create(a_node("n1"))
    pod = a_pod("web", node="n1", ready=True)
    pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "100m"}}
    api.create(pod)
    more = '{"spec":{"containers":[{"name":"main","resources":{"requests":{"cpu":"200m"}}}]}}'

    assert "pod updates may not change fields other than" in api.kubectl(
        "patch", "pod", "web", "-p", more, fails=True
    )
    api.kubectl("patch", "pod", "web", "--subresource=resize", "-p", more)

    found = api.found(POD, "default", "web")
    assert found["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "200m"}}
    assert found["metadata"]["managedFields"][-1]["subresource"] == "resize"
