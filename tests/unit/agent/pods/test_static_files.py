"""What a file of a static pod makes, and what is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.pods.static_files import is_static, pods_of, read, static_pod
from gitops.kinds.errors import GitwardError

PLAIN = b"""
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec: {containers: [{name: app, image: "shop:1"}]}
"""


def of(text: bytes, path: str = "/etc/static/web.yaml", node: str = "n1") -> str:
    return static_pod(text, Path(path), node)["metadata"].get("uid", "")


def test_a_file_makes_a_pod_of_this_node_with_the_defaults() -> None:
    pod = static_pod(PLAIN, Path("/etc/static/web.yaml"), "n1")

    assert pod["metadata"].get("name") == "web-n1"
    assert pod["metadata"].get("namespace") == "default"
    assert pod["metadata"].get("labels") == {"app": "web"}
    assert pod["spec"].get("nodeName") == "n1"
    assert pod["spec"]["restartPolicy"] == "Always"
    assert {"operator": "Exists", "effect": "NoExecute"} in pod["spec"].get("tolerations", [])
    assert is_static(pod)


def test_its_uid_follows_what_is_stated_and_not_how_it_is_written() -> None:
    assert of(PLAIN) == of(b"# A remark.\n" + PLAIN)
    assert of(PLAIN) != of(PLAIN.replace(b"shop:1", b"shop:2"))
    assert of(PLAIN) != of(PLAIN, node="n2")
    assert of(PLAIN) != of(PLAIN, path="/etc/static/other.yaml")


REFUSED = {
    "nothing": (b"", "found 0 objects, wanted one Pod"),
    "two": (PLAIN + b"---" + PLAIN, "found 2 objects, wanted one Pod"),
    "another kind": (b"{apiVersion: v1, kind: Secret}", "found v1 Secret, wanted v1 Pod"),
    "no name": (PLAIN.replace(b"name: web,", b""), "metadata.name: Required value"),
    "a field that is not there": (PLAIN.replace(b"image:", b"imaje:"), "imaje"),
    "no container": (PLAIN.replace(b'{name: app, image: "shop:1"}', b""), "spec.containers"),
    "a secret": (
        PLAIN.replace(b"spec: {", b"spec: {volumes: [{name: s, secret: {secretName: keys}}], "),
        "may not refer to Secrets",
    ),
    "a claim": (
        PLAIN.replace(b"spec: {", b"spec: {volumes: [{name: s, persistentVolumeClaim: {claimName: c}}], "),
        "may not refer to claims",
    ),
    "an account": (PLAIN.replace(b"spec: {", b"spec: {serviceAccountName: default, "), "no service account"),
}


@pytest.mark.parametrize(("text", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_what_makes_no_pod_is_told_with_its_file(text: bytes, why: str) -> None:
    with pytest.raises(GitwardError, match=r"/etc/static/web\.yaml") as told:
        static_pod(text, Path("/etc/static/web.yaml"), "n1")

    assert why in str(told.value)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_file_makes_a_pod_or_an_error(text: bytes) -> None:
    pods, problems = pods_of({Path("/x"): text}, "n1")

    assert len(pods) + len(problems) == 1


def test_of_two_files_with_one_name_the_first_counts() -> None:
    pods, problems = pods_of({Path("/a.yaml"): PLAIN, Path("/b.yaml"): PLAIN}, "n1")

    assert len(pods) == 1
    assert problems == {Path("/b.yaml"): "/b.yaml: /a.yaml states the pod default/web-n1 already"}


def test_a_directory_is_read_without_hidden_files_and_directories(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_bytes(PLAIN)
    (tmp_path / ".web.yaml.swp").write_bytes(b"half")
    (tmp_path / "sub").mkdir()
    (tmp_path / "big.yaml").write_bytes(b"x" * ((1 << 20) + 1))

    texts, problems = read(tmp_path)

    assert texts == {tmp_path / "web.yaml": PLAIN}
    assert problems == {tmp_path / "big.yaml": "longer than 1048576 bytes"}
    assert read(tmp_path / "none") == ({}, {tmp_path / "none": "No such file or directory"})
