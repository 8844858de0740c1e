"""A kustomization and a chart, with an encrypted secret, from a commit to live objects; kubectl and helm in the data
directory's `bin`."""

from gitops.kinds.apps import DEPLOYMENT
from gitops.kinds.core.config import CONFIG_MAP, SECRET
from tests.integration.master.whole import Site, Whole, manifest
from tests.integration.sync.render_world import CHART, TEMPLATE
from tests.integration.sync.render_world import DEPLOYMENT as WEB
from tests.tools.kubectl import renderers


def test_what_is_rendered_goes_live_and_its_source_says_by_what(site: Site) -> None:
    (site.data / "bin").symlink_to(renderers())
    files: dict[str, str | None] = {
        "base/kustomization.yaml": "resources: [web.yaml, database.yaml]\n",
        "base/web.yaml": WEB,
        "base/database.yaml": site.encrypted(manifest("Secret", "database", "", password="hunter2")),
        "prod/kustomization.yaml": "namespace: default\nnamePrefix: prod-\nresources: [../base]\n",
        "chart/Chart.yaml": CHART,
        "chart/values.yaml": "colour: blue\n",
        "chart/templates/settings.yaml": TEMPLATE,
    }

    async def story(whole: Whole) -> None:
        await whole.goes_live(files)

        assert whole.declared_names(DEPLOYMENT) == ["prod-web"]
        assert whole.declared_names(CONFIG_MAP) == ["chart"]
        secret = await whole.admin.get(SECRET, "default", "prod-database")
        assert secret["data"]["password"].reveal() == b"aHVudGVyMg=="
        told = whole.status().get("renderers", [])
        assert [line.partition(" ")[0] for line in told] == ["helm", "kubectl", "confined"]

        await whole.goes_live(
            {"chart/values.yaml": "colour: red\n", "base/web.yaml": WEB.replace("web:1", "web:2")}
        )

        assert whole.found(CONFIG_MAP, "default", "chart")["data"] == {"colour": "red"}
        containers = whole.found(DEPLOYMENT, "default", "prod-web")["spec"]["template"]["spec"]["containers"]
        assert containers[0]["image"] == "web:2"

        problems = await whole.is_refused({"base/kustomization.yaml": "resources: [gone.yaml]\n"})

        why = "base/kustomization.yaml:1: resources: 'gone.yaml': there is no such file or folder"
        assert problems[0] == why
        assert whole.declared_names(DEPLOYMENT) == ["prod-web"]

    site.run(story)
