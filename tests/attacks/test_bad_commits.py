"""A commit that cannot be used: its whole app is held back with `file:line:`, and the last good state stays."""

from pathlib import Path

import pytest

from gitops.kinds.apps import DEPLOYMENT
from gitops.kinds.core.config import CONFIG_MAP
from gitops.kinds.core.pod import POD
from tests.integration.master.whole import Site, Whole, config_map, deployment

WEB = deployment("web")
HEAD = "apiVersion: v1\nkind: ConfigMap\n"

UNREADABLE = {
    "no YAML": ("a: [\n", "bad.yaml:2: while parsing a flow node, did not find expected node content"),
    "a tab": (
        "apiVersion: v1\n\tkind: ConfigMap\n",
        "bad.yaml:2: while scanning a plain scalar, found a tab character that violates indentation",
    ),
    "not UTF-8": (HEAD.encode() + b"metadata: {name: \xe4}\n", "bad.yaml:3: not UTF-8 text"),
    "a NUL": (HEAD.encode() + b"metadata: {name: a\0}\n", "bad.yaml:3: not YAML: control characters are not allowed"),
    "the marks of a merge": (
        "<<<<<<< HEAD\napiVersion: v1\n=======\napiVersion: v2\n>>>>>>> other\n",
        "bad.yaml:1: a merge conflict left open: mapping values are not allowed in this context",
    ),
    "a duplicate key": (
        HEAD + "metadata:\n  name: a\n  name: b\n",
        "bad.yaml:5: the key 'name' stands twice, first in line 4",
    ),
    "a Helm template": (
        HEAD + "metadata:\n  name: {{ .Values.name }}\n",
        "bad.yaml:4: a mapping or list as a key: this looks like a Helm template ('{{ … }}')",
    ),
    "no name": (HEAD + "data: {a: b}\n", "bad.yaml:1: metadata: Required value: with a name"),
    "no kind": ("apiVersion: v1\nmetadata: {name: a}\n", "bad.yaml:1: kind: Required value"),
    "a name that is a path": (HEAD + "metadata: {name: ../../a}\n", "bad.yaml:3: metadata.name: '../../a' is no name"),
    "an escape sequence": (
        HEAD + 'metadata: {name: "a\\e[2J"}\n',
        "bad.yaml:3: metadata.name: 'a\\x1b[2J' is no name",
    ),
    "an unknown field": (
        WEB.replace("replicas:", "replica:"),
        'bad.yaml:7: Deployment.apps default/web: unknown field "spec.replica", did you mean "replicas"?',
    ),
    "a wrong type": (
        WEB.replace("replicas: 1", "replicas: two"),
        'bad.yaml:7: Deployment.apps default/web: spec.replicas: found text ("two"), wanted an integer',
    ),
    "a selector of others": (
        WEB.replace("matchLabels: {app: web}", "matchLabels: {app: other}"),
        'bad.yaml:12: Deployment.apps default/web: spec.template.metadata.labels: Invalid value: {"app":"web"}: '
        "`selector` does not match template `labels`",
    ),
    "a version of long ago": (
        WEB.replace("apps/v1", "apps/v1beta1"),
        "bad.yaml:2: Deployment.apps default/web: no kind Deployment of apps/v1beta1 since Kubernetes 1.16: "
        "it is apps/v1",
    ),
    "an object that is stated already": (
        config_map("good", "three"),
        "good.yaml:1: ConfigMap default/good is also stated in bad.yaml:1: which one counts?",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "problem"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_bad_manifest_holds_its_commit_back_and_is_told_by_file_and_line(
    site: Site, capsys: pytest.CaptureFixture[str], text: str | bytes, problem: str
) -> None:
    async def story(whole: Whole) -> None:
        good = await whole.goes_live({"good.yaml": config_map("good")})
        (whole.repository.folder / "bad.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())

        problems = await whole.is_refused(
            {"good.yaml": config_map("good", "two"), "new.yaml": config_map("new")}
        )
        await whole.look()  # Again: what was told is not told again.
        await whole.settled()

        assert problems == [problem]
        assert capsys.readouterr().err.splitlines().count(problem) == 1
        assert whole.live_commit() == good
        assert whole.found(CONFIG_MAP, "default", "good")["data"] == {"a": "one"}
        assert whole.found(CONFIG_MAP, "default", "new") is None
        await whole.goes_live({"bad.yaml": None})
        assert whole.problems() == []
        assert whole.found(CONFIG_MAP, "default", "good")["data"] == {"a": "two"}

    site.run(story)


def test_every_mistake_of_a_commit_is_told_at_once(site: Site) -> None:
    async def story(whole: Whole) -> None:
        problems = await whole.is_refused({
            "a.yaml": config_map("a") + "extra: 1\n",
            "b/b.yml": WEB.replace("image:", "imaeg:"),
            "c.json": '{"apiVersion": "v1",\n "kind": "ConfigMap", ',
        })  # fmt: skip

        assert problems == [
            'a.yaml:8: ConfigMap default/a: unknown field "extra"',
            "b/b.yml:16: Deployment.apps default/web: unknown field "
            '"spec.template.spec.containers[0].imaeg", did you mean "image"?',
            "c.json:2: while parsing a flow node, did not find expected node content",
        ]

    site.run(story)


def test_what_a_live_object_cannot_become_is_told_and_stops_nothing_else(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    start, end = "web.yaml:1: Deployment.apps default/web: ", "field is immutable"

    def told() -> list[str]:
        return [line for line in capsys.readouterr().err.splitlines() if line.startswith(start)]

    async def story(whole: Whole) -> None:
        good = await whole.goes_live({"web.yaml": WEB, "a.yaml": config_map("a")})
        await whole.until(lambda: len(whole.names(POD, "default")) == 1)
        await whole.settled()

        whole.repository.commit(
            {"web.yaml": WEB.replace("app: web", "app: other"), "a.yaml": config_map("a", "two")}
        )
        await whole.look()

        await whole.until(lambda: whole.status().get("unapplied"))
        await whole.until(lambda: whole.found(CONFIG_MAP, "default", "a")["data"] == {"a": "two"})
        await whole.settled()
        (line,) = whole.status().get("unapplied") or []
        assert line.startswith(start)
        assert end in line
        assert whole.live_commit() == good
        assert whole.found(DEPLOYMENT, "default", "web")["spec"]["selector"] == {
            "matchLabels": {"app": "web"}
        }
        assert told() == [line]
        whole.repository.git("revert", "--no-edit", "HEAD")
        await whole.is_live(whole.repository.git("rev-parse", "HEAD"))
        assert whole.status().get("unapplied") == []

    site.run(story)


def test_an_object_of_no_namespace_waits_for_it_and_says_so(site: Site) -> None:
    namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: team\n"

    async def story(whole: Whole) -> None:
        whole.repository.commit({"a.yaml": config_map("a", namespace="team"), "b.yaml": config_map("b")})
        await whole.look()

        await whole.until(lambda: whole.found(CONFIG_MAP, "default", "b"))
        await whole.until(
            lambda: (
                whole.status().get("waiting") == ["a.yaml:1: ConfigMap team/a: there is no namespace team"]
            )
        )
        await whole.goes_live({"team.yaml": namespace})
        assert whole.found(CONFIG_MAP, "team", "a") is not None
        assert whole.status().get("waiting") == []

    site.run(story)


def test_a_link_out_of_the_repository_is_refused_and_what_it_points_to_is_never_read(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    (site.folder / "outside.yaml").write_text(config_map("canary-outside"))

    async def story(whole: Whole) -> None:
        await whole.goes_live({"a.yaml": config_map("a")})
        (whole.repository.folder / "apps").mkdir()
        (whole.repository.folder / "apps" / "b.yaml").symlink_to(site.folder / "outside.yaml")
        (whole.repository.folder / "apps" / "c.yaml").symlink_to("/proc/self/environ")
        (whole.repository.folder / "folder").symlink_to(site.folder)

        why = "a symbolic link: links are never followed; put the file itself here"
        assert await whole.is_refused({}) == [f"apps/b.yaml:1: {why}", f"apps/c.yaml:1: {why}"]
        assert whole.names(CONFIG_MAP, "default") == ["a"]

    site.run(story)
    assert "canary" not in capsys.readouterr().err


def test_a_submodule_is_told_and_not_fetched(site: Site) -> None:
    trap = site.folder / "trap"

    async def story(whole: Whole) -> None:
        first = await whole.goes_live({"a.yaml": config_map("a")})
        whole.repository.git("update-index", "--add", "--cacheinfo", f"160000,{first},vendor")
        modules = f'[submodule "vendor"]\n\tpath = vendor\n\turl = ext::sh -c "touch {trap}"\n'
        (whole.repository.folder / ".gitmodules").write_text(modules)
        whole.repository.git("add", ".gitmodules")
        whole.repository.git("commit", "--quiet", "--message", "a submodule")

        await whole.is_live(whole.repository.git("rev-parse", "HEAD"))

        assert whole.status().get("warnings") == ["vendor:1: a submodule: what is in it is not read"]

    site.run(story)
    assert not trap.exists()


BOMBS = {
    "aliases": (
        "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)),
        "bomb.yaml:5: aliases stand for more than 100000 nodes",
    ),
    "a hundred thousand levels": ("a: " + "[" * 100_000, "bomb.yaml:1: nested deeper than 100 levels"),
    "ten megabytes in one document": (
        HEAD + "metadata: {name: big}\ndata: {a: '" + "x" * 10_000_000 + "'}\n",
        "bomb.yaml:1: a document of 10000067 characters, at most 3000000 are read",
    ),
    "a file without end": (config_map("big") * 140_000, "bomb.yaml:1: 12.1 MB, at most 12 MB are read"),
}


@pytest.mark.parametrize(("text", "problem"), BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_refused_in_bounded_memory_and_other_sources_go_on(
    site: Site, text: str, problem: str
) -> None:
    async def story(whole: Whole) -> None:
        good = await whole.goes_live({"a.yaml": config_map("a")})
        await whole.follow("other", f"file://{other}")
        before_bytes = resident_bytes()

        assert await whole.is_refused({"bomb.yaml": text}) == [problem]

        assert resident_bytes() - before_bytes < 64 << 20
        assert (await whole.master.syncer.look("other", "test")).declared
        assert whole.live_commit() == good
        await whole.goes_live({"bomb.yaml": None})

    other = site.another_repository("other", {"b.yaml": config_map("b")})
    site.run(story)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


NESTED = {
    "a folder of the host": (
        "theirs",
        "file:///etc",
        "file:///etc: a source that an object states is reached by https",
    ),
    "plain http": ("theirs", "http://127.0.0.1/x.git", "a source that an object states is reached by https"),
    "a command": ("theirs", "ext::sh -c id", "is no URL of a repository"),
    "the operator's own name": (
        "shop",
        "https://evil.example/x.git",
        "the operator's own source bears this name",
    ),
}


@pytest.mark.parametrize("case", NESTED.values(), ids=NESTED.keys())
def test_a_source_in_git_may_not_say_what_only_the_operator_may(
    site: Site, case: tuple[str, str, str]
) -> None:
    name, url, message = case
    stated = f"apiVersion: gitward.io/v1alpha1\nkind: GitSource\nmetadata: {{name: {name}}}\nspec: {{url: '{url}'}}\n"

    async def story(whole: Whole) -> None:
        (problem,) = await whole.is_refused({"source.yaml": stated})

        assert problem.startswith(f"source.yaml:1: GitSource.gitward.io {name}: ")
        assert message in problem
        assert not (whole.data / "sources" / "theirs").exists()

    site.run(story)
