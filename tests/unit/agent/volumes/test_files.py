"""Files of volumes: what they hold, how they change, and what can never lead out of them."""

import os
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.volumes import atomic
from agent.volumes.beneath import open_beneath
from agent.volumes.content import File, files_of
from agent.volumes.host_path import host_path
from agent.volumes.references import Reference, references
from gitops.kinds.core.volumes import Volume
from gitops.kinds.errors import Invalid, NotFound
from tests.agent_world import a_pod
from tests.unit.agent.pods.test_environment import AROUND, Known

APP = {"name": "app", "image": "shop:1"}


def files(source: dict[str, Any], **spec: Any) -> dict[str, File]:
    pod = a_pod(containers=[APP], volumes=[{"name": "v", **source}], **spec)
    return dict(files_of(pod, pod["spec"]["volumes"][0], Known(), AROUND))


def test_all_keys_or_named_ones_with_their_modes() -> None:
    items = [{"key": "colour", "path": "deep/paint", "mode": 0o400}]

    assert files({"secret": {"secretName": "login"}}) == {"password": File(b"hush", 0o644)}
    assert files({"configMap": {"name": "settings", "items": items}}) == {"deep/paint": File(b"red", 0o400)}


def test_what_is_required_and_absent_is_told_and_what_is_optional_is_left_out() -> None:
    missing = [{"key": "none", "path": "x"}]
    with pytest.raises(NotFound, match='configmap "none" not found'):
        files({"configMap": {"name": "none"}})
    with pytest.raises(NotFound, match="references non-existent configmap key: none"):
        files({"configMap": {"name": "settings", "items": missing}})

    assert files({"configMap": {"name": "none", "optional": True}}) == {}
    assert files({"configMap": {"name": "settings", "items": missing, "optional": True}}) == {}


def test_a_projected_volume_is_several_in_one() -> None:
    me = {"path": "me", "fieldRef": {"fieldPath": "metadata.labels"}}
    sources = [
        {"secret": {"name": "login"}},
        {"configMap": {"name": "settings", "items": [{"key": "colour", "path": "c"}]}},
        {"downwardAPI": {"items": [me]}},
    ]

    assert files({"projected": {"sources": sources}}) == {
        "password": File(b"hush", 0o644),
        "c": File(b"red", 0o644),
        "me": File(b'app="web"', 0o644),
    }


def test_fs_group_may_read() -> None:
    found = files({"secret": {"secretName": "login", "defaultMode": 0o400}}, securityContext={"fsGroup": 7})

    assert found["password"].mode == 0o440


@pytest.mark.parametrize("path", ["../out", "/etc/passwd", "a/../../b", "..data", "", "a//b"])
def test_a_path_that_leaves_its_volume_is_refused(path: str) -> None:
    with pytest.raises(Invalid):
        files({"configMap": {"name": "settings", "items": [{"key": "colour", "path": path}]}})


def test_what_a_pod_names_is_what_it_may_ask_for() -> None:
    pod = a_pod(
        containers=[
            {
                **APP,
                "envFrom": [{"configMapRef": {"name": "a"}}],
                "env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "b", "key": "k"}}}],
            }
        ],
        volumes=[{"name": "v", "projected": {"sources": [{"secret": {"name": "c"}}]}}],
        imagePullSecrets=[{"name": "d"}],
    )

    assert references(pod) == {
        Reference("ConfigMap", "shop", "a"),
        Reference("Secret", "shop", "b"),
        Reference("Secret", "shop", "c"),
        Reference("Secret", "shop", "d"),
    }


def test_a_file_does_not_show_what_it_holds() -> None:
    assert "hush" not in repr(File(b"hush", 0o400))


CONTENTS = st.dictionaries(
    st.sampled_from(["a", "b", "deep/c", "deep/er/d", "other/e"]),
    st.builds(File, st.binary(max_size=20), st.sampled_from([0o400, 0o644])),
)


@given(contents=st.lists(CONTENTS, min_size=1, max_size=5))
def test_after_any_updates_a_volume_holds_exactly_the_last_files(
    contents: list[dict[str, File]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    volume = tmp_path_factory.mktemp("volume")

    for number, files_wanted in enumerate(contents):
        atomic.write(volume, files_wanted, str(number))

    last = contents[-1]
    assert {name: (volume / name).read_bytes() for name in last} == {
        name: f.content for name, f in last.items()
    }
    visible = {path.name for path in volume.iterdir() if not path.name.startswith("..")}
    assert visible == {name.partition("/")[0] for name in last}
    assert len([path for path in volume.iterdir() if path.name.startswith("..")]) == 2
    assert not atomic.write(volume, last, "again")


def test_an_agent_that_ended_in_the_middle_of_a_write_is_gone_on_from(tmp_path: Path) -> None:
    """At each step of the way: before the swap, and after it, when nothing is visible yet."""
    files = {"a": File(b"1", 0o644), "deep/c": File(b"2", 0o644)}
    atomic.write(tmp_path, files, "1")
    for name in ("a", "deep"):
        (tmp_path / name).unlink()
    (tmp_path / "..half").mkdir()
    (tmp_path / "..data_tmp").symlink_to("..half")

    atomic.write(tmp_path, files, "2")

    assert (tmp_path / "a").read_bytes() == b"1"
    assert (tmp_path / "deep" / "c").read_bytes() == b"2"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["..1", "..data", "a", "deep"]


def test_a_sub_path_may_be_a_link_of_the_volume_but_never_lead_out(tmp_path: Path) -> None:
    volume, outside = tmp_path / "volume", tmp_path / "secret"
    volume.mkdir()
    outside.write_text("host")
    atomic.write(volume, {"key": File(b"value", 0o644)}, "1")
    (volume / "out").symlink_to(outside)
    (volume / "up").symlink_to("..")
    (volume / "loop").symlink_to("loop")

    inside = open_beneath(volume, "key")
    assert Path(f"/proc/self/fd/{inside}").read_bytes() == b"value"
    os.close(inside)
    for path in ("out", "up/secret", "../secret", "/etc", "loop"):
        with pytest.raises((Invalid, OSError)):
            os.close(open_beneath(volume, path))


def test_a_sub_path_that_is_missing_becomes_a_directory(tmp_path: Path) -> None:
    os.close(open_beneath(tmp_path, "a/b"))

    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize(
    ("kind", "is_made"),
    [
        ("", True),
        ("DirectoryOrCreate", True),
        ("FileOrCreate", True),
        ("Directory", False),
        ("Socket", False),
    ],
)
def test_host_paths_are_checked_or_made_by_type(kind: str, is_made: bool, tmp_path: Path) -> None:
    source = cast(Volume, {"name": "v", "hostPath": {"path": str(tmp_path / "x"), "type": kind}})["hostPath"]

    if is_made:
        assert host_path(source) == tmp_path / "x"
        assert (tmp_path / "x").is_file() == (kind == "FileOrCreate")
    else:
        with pytest.raises(Invalid, match="hostPath type check failed"):
            host_path(source)
