"""`gitward doctor` and the gate of `up` on this very host: its kernel, a real engine, real listeners."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PORTS = (
    "--listen",
    "127.0.0.1:16443",
    "--webhook-listen",
    "",
    "--ingress-http",
    "127.0.0.1:18080",
    "--ingress-https",
    "",
)


def gitward(docker_host: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "gitops.cli.main", *arguments)
    env = {**os.environ, "DOCKER_HOST": docker_host}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=env)


def test_a_host_that_runs_pods_is_well_and_nothing_of_it_is_changed(docker_host: str, tmp_path: Path) -> None:
    links = subprocess.run(("ip", "-o", "link"), capture_output=True, text=True, check=True).stdout
    rules = subprocess.run(("iptables-save",), capture_output=True, text=True, check=True).stdout.count(
        "\n-A "
    )

    done = gitward(docker_host, "doctor", "--data-dir", str(tmp_path / "none"), *PORTS, "--output", "json")

    found = {(one["check"], one["level"]): one["found"] for one in json.loads(done.stdout)}
    assert [check for check, level in found if level == "error"] == []
    assert (done.returncode, done.stderr) == (0, "")
    assert "bridge, veth" in found["kernel features", "ok"]
    assert "rules" in found["kernel features", "ok"]
    assert docker_host in found["docker", "ok"]
    assert not (tmp_path / "none").exists()
    assert subprocess.run(("ip", "-o", "link"), capture_output=True, text=True, check=True).stdout == links
    now = subprocess.run(("iptables-save",), capture_output=True, text=True, check=True).stdout.count("\n-A ")
    assert now == rules


def test_up_refuses_a_taken_port_in_the_doctors_words_and_makes_nothing(
    docker_host: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 18080)):
        doctor = gitward(
            docker_host, "doctor", "--data-dir", str(tmp_path / "data"), *PORTS, "--output", "json"
        )
        up = gitward(docker_host, "up", "--data-dir", str(tmp_path / "data"), *PORTS)

    (error,) = (one for one in json.loads(doctor.stdout) if one["level"] == "error")
    assert error["check"] == "port 18080"
    assert f"(process {os.getpid()})" in error["found"]
    assert "--ingress-http ADDRESS:PORT" in error["advice"]
    assert doctor.returncode == up.returncode == 1
    assert f"port 18080: {error['found']}: {error['advice']}" in up.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("role", ["up", "agent"])
def test_without_an_engine_a_first_start_is_refused_at_once(tmp_path: Path, role: str) -> None:
    nowhere = f"unix://{tmp_path}/docker.sock"
    flags = PORTS if role == "up" else PORTS[4:]

    done = gitward(nowhere, role, "--data-dir", str(tmp_path / "data"), *flags)

    assert done.returncode == 1
    assert f"docker: Docker at {nowhere}: " in done.stderr
    assert "start it (systemctl start docker), or name another engine by DOCKER_HOST" in done.stderr
