"""The agent in a container: which one, what its helpers' containers are, and which paths of the host it has."""

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.contained import Contained, check_reached, ids_in, of_inspection
from agent.helpers import HelperSpec
from gitops.kinds.errors import Invalid

ID = "4f" * 32
MOUNTINFO = f"""\
800 790 0:52 / / rw - overlay overlay rw,lowerdir=/x
810 800 8:1 /var/lib/docker/containers/{ID}/resolv.conf /etc/resolv.conf rw - ext4 /dev/sda1 rw
811 800 8:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/sda1 rw
812 800 8:1 /srv/containers/short/x /x rw - ext4 /dev/sda1 rw
"""
FOUND: dict[str, Any] = {
    "Image": "sha256:abc",
    "HostConfig": {"Binds": ["/var/lib/gitward:/var/lib/gitward:rshared", "/srv:/data"], "Mounts": None},
    "Mounts": [
        {"Type": "bind", "Source": "/var/lib/gitward", "Destination": "/var/lib/gitward"},
        {"Type": "bind", "Source": "/srv", "Destination": "/data"},
        {"Type": "volume", "Source": "/var/lib/docker/volumes/x/_data", "Destination": "/other"},
    ],
}


def contained() -> Contained:
    return of_inspection("unix:///docker.sock", FOUND)


def test_a_container_is_known_by_the_files_that_the_engine_mounts() -> None:
    assert ids_in(MOUNTINFO) == [ID]
    assert ids_in("") == []


@given(st.text())
def test_any_mounts_are_read_without_an_error(text: str) -> None:
    assert all(len(one) == 64 for one in ids_in(text))


def test_a_helper_gets_our_image_and_mounts_but_none_of_our_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITWARD_JOIN", "a token")
    spec = HelperSpec("dns", ("python3", "-m", "agent.dns"), Path("/run/gitward/0123abcd"), "1")

    body = contained().body(spec)

    assert body["Image"] == "sha256:abc"
    assert body["Entrypoint"] == [
        sys.executable,
        "-P",
        "-m",
        "agent.contained_start",
        "/run/gitward/0123abcd/dns.log",
    ]
    assert body["Cmd"] == ["python3", "-m", "agent.dns"]
    assert [one.partition("=")[0] for one in body["Env"]] == ["PATH", "PYTHONPATH"]
    assert body["Labels"] == {"io.gitward.helper": "dns"}
    assert body["HostConfig"] == {
        "NetworkMode": "host",
        "PidMode": "host",
        "Binds": ["/var/lib/gitward:/var/lib/gitward:rshared", "/srv:/data"],
        "Mounts": [],
        "AutoRemove": True,
        "LogConfig": {"Type": "none", "Config": {}},
    }


def test_only_what_has_one_path_for_both_is_the_hosts() -> None:
    same = contained().same

    check_reached(Path("/var/lib/gitward/volumes/x"), same)
    for path in ("/srv", "/data", "/var/lib", "/other", "/etc/passwd"):
        with pytest.raises(Invalid, match="is not at hand in the agent's container"):
            check_reached(Path(path), same)


def test_on_the_host_itself_every_path_is_at_hand() -> None:
    check_reached(Path("/etc"), None)
