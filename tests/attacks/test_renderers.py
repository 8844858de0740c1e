"""Hostile kustomizations and charts: no file, command, name or network of the host's, no bomb, no other's secret."""

import gzip
import io
import resource
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.test_yaml_bombs import laughs
from tests.integration.sync.render_world import CHART, DEPLOYMENT, Link, World, values, world

MASTER_KIB_MAX = 64 << 10
BOMB_SECONDS_MAX = 2.0
RUNAWAY_SECONDS_MAX = 12.0  # The limit on wall time, and a busy machine.


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("render")) as made:
        made.one({"warm/kustomization.yaml": "resources: []\nnamespace: x\n"})
        yield made


def template(text: str) -> dict[str, str | bytes]:
    whole = (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\ndata:\n  found: {{{{ {text} | quote }}}}\n"
    )
    return {"c/Chart.yaml": CHART, "c/templates/x.yaml": whole}


OUTSIDE: dict[str, dict[str, str | bytes]] = {
    "an absolute path": {"k/kustomization.yaml": "resources: [/etc/passwd]\n"},
    "above the repository": {"k/kustomization.yaml": "resources: [../../../../etc/passwd]\n"},
    "a folder above it": {"k/kustomization.yaml": "resources: [../../..]\n"},
    "a file of a neighbour": {
        "k/kustomization.yaml": "configMapGenerator: [{name: a, files: [../b/c]}]\n", "b/c": "canary-1"
    },
    "a link to a file": {"k/kustomization.yaml": "resources: [l]\n", "k/l": Link("/etc/passwd")},
    "a link to a folder": {"k/kustomization.yaml": "resources: [l]\n", "k/l": Link("/etc")},
    "a link on the way": {"k/kustomization.yaml": "resources: [l/x.yaml]\n", "k/l": Link("/etc")},
    "a kustomization that is a link": {"k/kustomization.yaml": Link("/etc/passwd")},
    "a chart's file that is a link": {"c/Chart.yaml": CHART, "c/templates/x.yaml": Link("/proc/self/environ")},
    "a chart's values that are a link": {"c/Chart.yaml": CHART, "c/values.yaml": Link("/etc/passwd")},
    "a chart's lock that is a link": {"c/Chart.yaml": CHART, "c/charts/x.tgz": Link("/etc/passwd")},
}  # fmt: skip


@pytest.mark.parametrize("files", OUTSIDE.values(), ids=OUTSIDE.keys())
def test_no_file_outside_of_what_a_root_reaches_is_read(victim: World, files: dict[str, str | bytes]) -> None:
    for one in victim.render(files):
        assert one.problems
        assert one.file is None
        assert "canary" not in str(one.problems)
        assert "root:x" not in str(one.problems)


def test_a_chart_that_is_itself_a_link_is_no_chart(victim: World) -> None:
    assert victim.render({"c/Chart.yaml": Link("/etc/passwd")}) == []


@pytest.mark.parametrize(
    "text",
    [
        '.Files.Get "../../../etc/passwd"',
        '.Files.Get "/etc/passwd"',
        '.Files.Get "link"',
        '(.Files.Glob "**").AsConfig',
        'getHostByName "localhost"',
        'lookup "v1" "Secret" "kube-system" ""',
    ],
)
def test_a_template_learns_nothing_of_the_host(victim: World, text: str) -> None:
    rendered = victim.one({**template(text), "c/link": Link("/etc/passwd")})

    assert values(rendered)[0]["data"]["found"] in ("", "map[]", "{}")


@pytest.mark.parametrize("text", ['env "PATH"', 'expandenv "$PATH"'])
def test_a_template_has_no_environment(victim: World, text: str) -> None:
    (problem,) = victim.one(template(text)).problems

    assert "not defined" in problem


COMMANDS: dict[str, dict[str, str | bytes]] = {
    "an executable generator": {
        "k/kustomization.yaml": "generators: [g.yaml]\n",
        "k/g.yaml": "apiVersion: v1\nkind: G\nmetadata: {name: g, annotations: {config.kubernetes.io/function: "
        '"exec: {path: ./run}"}}\n',
        "k/run": "#!/bin/sh\ntouch /tmp/gitward-was-here\n",
    },
    "a container generator": {
        "k/kustomization.yaml": "transformers: [g.yaml]\n",
        "k/g.yaml": "apiVersion: v1\nkind: G\nmetadata: {name: g, annotations: {config.kubernetes.io/function: "
        '"container: {image: x}"}}\n',
    },
    "a plug-in": {
        "k/kustomization.yaml": "generators: [g.yaml]\n",
        "k/g.yaml": "apiVersion: someteam.example.com/v1\nkind: Bash\nmetadata: {name: g}\n",
    },
    "a chart in a kustomization": {
        "k/kustomization.yaml": "helmCharts: [{name: x, repo: 'https://example.com'}]\n",
    },
    "a remote base": {"k/kustomization.yaml": "resources: ['git::https://example.com/x']\n"},
    "a remote base among patches": {
        "k/kustomization.yaml": "resources: [w.yaml]\npatches: [{path: 'https://example.com/p.yaml'}]\n",
        "k/w.yaml": DEPLOYMENT,
    },
    "an option as a folder": {"--enable-helm/kustomization.yaml": "helmCharts: [{name: x}]\n"},
    "an option as a chart": {"--post-renderer=x/Chart.yaml": CHART},
}  # fmt: skip


@pytest.mark.parametrize("files", COMMANDS.values(), ids=COMMANDS.keys())
def test_no_command_of_a_repository_runs_and_nothing_is_fetched(
    victim: World, files: dict[str, str | bytes]
) -> None:
    began = time.monotonic()

    assert victim.one(files).problems
    assert not Path("/tmp/gitward-was-here").exists()
    assert time.monotonic() - began < BOMB_SECONDS_MAX


GOOD: dict[str, str | bytes] = {"good/kustomization.yaml": "resources: [w.yaml]\n", "good/w.yaml": DEPLOYMENT}


def test_an_alias_bomb_is_found_before_a_renderer_reads_it(victim: World) -> None:
    files: dict[str, str | bytes] = {
        "k/kustomization.yaml": "resources: [bomb.yaml]\n", "k/bomb.yaml": laughs(10), **GOOD
    }  # fmt: skip
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()

    good, bad = victim.render(files)

    assert time.monotonic() - began < BOMB_SECONDS_MAX
    assert bad.problems == ("k/bomb.yaml:6: aliases stand for more than 100000 nodes",)
    assert len(values(good)) == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MASTER_KIB_MAX


RUNAWAYS: dict[str, dict[str, str | bytes]] = {
    "an alias bomb that our own reader stops before": {
        "k/kustomization.yaml": "resources: [bomb.yaml]\n", "k/bomb.yaml": b"x: !odd y\n" + laughs(10)
    },
    "an alias bomb in values": {**template(".Values.a9"), "c/values.yaml": b"x: !odd y\n" + laughs(10)},
    "a text that doubles": template('repeat 1000000000 "x"'),
    "a list without end": template("until 1000000000"),
    "templates that include themselves": {
        **template('include "a" .'), "c/templates/_a.tpl": '{{ define "a" }}{{ include "a" . }}{{ end }}'
    },
    "more than 16 MB": template('repeat 20000000 "x"'),
    "an archive that unpacks to a gigabyte": {},
}  # fmt: skip


def archive() -> bytes:
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9) as zipped,
        tarfile.open(fileobj=zipped, mode="w|") as tar,
    ):
        for name, size in (("x/Chart.yaml", 0), *((f"x/{number}", 100 << 20) for number in range(10))):
            entry = tarfile.TarInfo(name)
            content = io.BytesIO(CHART.encode()) if not size else _Zeros(size)
            entry.size = size or len(CHART)
            tar.addfile(entry, content)
    return packed.getvalue()


class _Zeros(io.RawIOBase):
    def __init__(self, size: int) -> None:
        self._left = size

    def read(self, size: int = -1) -> bytes:
        given = min(self._left, size)
        self._left -= given
        return bytes(given)


@pytest.mark.parametrize("name", RUNAWAYS)
def test_a_runaway_is_ended_and_hurts_nobody(victim: World, name: str) -> None:
    files = RUNAWAYS[name] or {**template('""'), "c/charts/x.tgz": archive()}
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()

    bad, good = victim.render({**files, **GOOD})[:: 1 if "c/Chart.yaml" in files else -1]

    assert time.monotonic() - began < RUNAWAY_SECONDS_MAX
    assert bad.problems
    assert len(str(bad.problems)) < 2_000
    assert len(values(good)) == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MASTER_KIB_MAX
    assert list((victim.renderer._sandbox._folder).iterdir()) == []


SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: canary-8}\n"
QUOTING: dict[str, dict[str, str | bytes]] = {
    "a patch without a target": {
        "k/kustomization.yaml": "resources: [s.yaml]\npatches: [{path: p.yaml}]\n",
        "k/s.yaml": SECRET,
        "k/p.yaml": SECRET.replace("name: s", "name: other"),
    },
    "a patch that is none": {
        "k/kustomization.yaml": "resources: [s.yaml]\npatches: [{path: p.yaml, target: {kind: Secret}}]\n",
        "k/s.yaml": SECRET,
        "k/p.yaml": '[{"op": "test", "path": "/stringData/password", "value": "canary-8"}, {"op": "nothing"}]',
    },
    "a generator's literal": {
        "k/kustomization.yaml": "secretGenerator: [{name: s, literals: ['canary-8']}]\n",
    },
    "two that collide": {
        "k/kustomization.yaml": "resources: [s.yaml, t.yaml]\n", "k/s.yaml": SECRET, "k/t.yaml": SECRET
    },
    "a template that fails with a value": {
        "c/Chart.yaml": CHART,
        "c/templates/s.yaml": SECRET + "---\n{{ fail (printf `%v` .Values) }}",
    },
}  # fmt: skip


@pytest.mark.parametrize("files", QUOTING.values(), ids=QUOTING.keys())
def test_no_error_quotes_a_secret(victim: World, files: dict[str, str | bytes]) -> None:
    (problem, *others) = victim.one(files).problems

    assert "canary" not in f"{problem}{others}"
