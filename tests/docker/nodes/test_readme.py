"""The README's section "More hosts", command by command, as someone with bare hosts would type it."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.client import Client
from gitops.kinds.core.pod import POD
from tests.docker.engine import IMAGE, lacks
from tests.docker.nodes.machines import Machine, eventually, machines

pytestmark = pytest.mark.timeout(400)
README = Path(__file__).parents[3] / "README.md"
ADDRESS_IN_README = "192.0.2.10"
WEB = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 4
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
      - name: web
        image: {IMAGE}
        imagePullPolicy: Never
        command: [sh, -c, "mkdir /w; hostname >/w/name; trap 'exit 0' TERM; busybox httpd -f -p 8080 -h /w & wait"]
        readinessProbe: {{httpGet: {{path: /name, port: 8080}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080}}]}}
"""


class Host:
    """A machine and the shell of its operator: `gitward` is in PATH; engine and data directory are the machine's."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.out, self.log = machine.folder / "out", machine.log

    def _command(self, command: str) -> tuple[str, ...]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        told = (
            f"PATH={path}",
            f"DOCKER_HOST={self.machine.docker_host}",
            f"GITWARD_DATA_DIR={self.machine.data_dir}",
        )
        return self.machine.inside("env", *told, *command.split())

    def types(self, command: str) -> str:
        done = subprocess.run(self._command(command), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def leaves_running(self, command: str) -> None:
        with self.out.open("ab") as out, self.log.open("ab") as log:
            subprocess.Popen(self._command(command), stdout=out, stderr=log)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Host]]:
    """The tests of this module go on where the one before ended."""
    if missing := lacks():
        pytest.skip(missing)
    with machines(tmp_path_factory.mktemp("readme"), bridged=True, live_restore=frozenset()) as made:
        yield [Host(machine) for machine in made]


def commands_of(section: str) -> list[str]:
    """What stands after `$ ` in the section's console block, without comments and sudo."""
    text = (
        README.read_text().partition(f"### {section}\n")[2].partition("```console\n")[2].partition("```")[0]
    )
    lines = [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]
    return [line.partition(" #")[0].strip().removeprefix("sudo ") for line in lines]


def a_repository(folder: Path) -> str:
    folder.mkdir()
    (folder / "web.yaml").write_text(WEB)
    git = ("git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.com")
    for words in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-q", "-m", "web")):
        subprocess.run((*git, *words), check=True)
    return f"file://{folder}"


DOCTOR, UP, TOKEN, AGENT = commands_of("More hosts")


def joining(hosts: list[Host]) -> str:
    """The README's command, with the first host's address and a token that is typed there."""
    first = hosts[0]
    return AGENT.replace(ADDRESS_IN_README, first.machine.address).replace(
        "gw1.…", first.types(TOKEN).strip()
    )


def ready(hosts: list[Host]) -> list[str]:
    found = json.loads(hosts[0].types("gitward node list -o json"))["nodes"]
    return [one["name"] for one in found if one["status"] == "Ready"]


def test_more_hosts_as_the_readme_says(hosts: list[Host], tmp_path: Path) -> None:
    first, second, _ = hosts
    for host in hosts:
        assert " ok, " in host.types(DOCTOR)  # An error would be its exit code.
    up = UP.replace("…", a_repository(tmp_path / "shop")).replace(ADDRESS_IN_README, first.machine.address)
    first.leaves_running(up)
    eventually(lambda: "ready https://" in first.out.read_text(), "the master serves")

    second.leaves_running(joining(hosts))

    eventually(lambda: ready(hosts) == ["n1", "n2"], "both are nodes, by their own names")
    first.types("gitward sync --wait")
    address = json.loads(first.types("gitward get svc web -o json"))["spec"]["clusterIP"]
    for host in (first, second):
        assert host.types(f"curl -sS -m 5 http://{address}/name").startswith("web-")


def test_a_host_that_ran_a_cluster_of_its_own_joins_after_down(hosts: list[Host]) -> None:
    """By the same data directory: it is refused before the token is spent, and told the way."""
    third = hosts[2]
    third.leaves_running("gitward up")
    eventually(lambda: "node runs" in third.log.read_text(), "its node runs")
    third.machine.run("kill", (third.machine.data_dir / "up.pid").read_text().split()[0])
    eventually(lambda: not (third.machine.data_dir / "up.pid").exists(), "its master has ended")
    join = joining(hosts)

    with pytest.raises(
        AssertionError, match=r"is a node of cluster .* take it out of the other by `gitward down`"
    ):
        third.types(join)
    third.types("gitward down")
    third.leaves_running(join)

    eventually(lambda: ready(hosts) == ["n1", "n2", "n3"], "it joined by the same token")
    out = third.types("gitward down")
    assert out.count("left this host") == 2  # The data directory knows both clusters.
    assert "removed gw0" in out


def test_a_host_is_taken_out_and_comes_back(hosts: list[Host]) -> None:
    first, second, _ = hosts
    first.types("gitward node drain n2")
    first.types("gitward node delete n2")
    assert second.types("gitward down").splitlines()[-1].startswith("cluster ")
    eventually(lambda: ready(hosts) == ["n1"], "the host is out")

    second.leaves_running(joining(hosts))

    eventually(lambda: ready(hosts) == ["n1", "n2"], "it is back")


async def without_a_pod(kubeconfig: Path) -> None:
    async with Client.from_kubeconfig(kubeconfig) as client:
        pod = (await client.list(POD, "default")).items[0]
        await client.delete(POD, "default", pod["metadata"].get("name", ""))


def test_a_host_leaves_by_its_own_word(hosts: list[Host]) -> None:
    first, second, _ = hosts
    kubeconfig = first.machine.data_dir / "admin.kubeconfig"
    asyncio.run(without_a_pod(kubeconfig))  # Its successor comes to the node that has none.
    eventually(lambda: second.machine.containers(), "a pod runs on it")
    with pytest.raises(AssertionError, match="name an administrator's --kubeconfig"):
        second.types("gitward node leave --drain")

    said = second.types(f"gitward node leave --drain --kubeconfig {kubeconfig}")

    assert "node/n2 drained" in said
    assert "removed gw0" in said
    assert said.splitlines()[-1].startswith("node n2 left cluster ")
    assert [one["name"] for one in json.loads(first.types("gitward node list -o json"))["nodes"]] == [
        "n1",
        "n3",
    ]
    assert second.machine.containers(all_=True) == []
    assert list((second.machine.data_dir / "agent").iterdir()) == []
    with pytest.raises(AssertionError, match="holds no node that joined a master"):
        second.types("gitward node leave")
