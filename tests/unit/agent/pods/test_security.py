"""How far a container is confined, and what is refused because the engine cannot confine it so."""

from pathlib import Path
from typing import Any

import pytest

from agent.pods.security import (
    Confinement,
    confinement,
    mounts_of,
    needs_image_user,
    read_profile,
    runs_as_root,
    sandbox_refusal,
    security_of,
)
from agent.runtime.protocol import EngineInfo, Mount, Security
from gitops.kinds.core.pod import Pod
from gitops.kinds.errors import Invalid
from tests.agent_world import a_pod


def a_confined(own: dict[str, Any] | None = None, **pod: Any) -> Pod:
    app = {"name": "app", "image": "shop:1", **({"securityContext": own} if own is not None else {})}
    return a_pod(containers=[app], securityContext=pod)


def security(pod: Pod, host: Confinement | None = None, image_user: str = "") -> Security:
    return security_of(pod["spec"], pod["spec"]["containers"][0], host or Confinement(), image_user)


def test_a_containers_security_context_wins_over_its_pods() -> None:
    own = {"runAsUser": 7, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    pod = a_confined(own, runAsUser=1, runAsGroup=2, fsGroup=3, supplementalGroups=[4])

    assert security(pod) == Security(
        user="7:2", groups=("4", "3"), no_new_privileges=True, capabilities_drop=("ALL",)
    )


@pytest.mark.parametrize(
    ("image_user", "user"), [("", "0:5"), ("1000", "1000:5"), ("shop", "shop:5"), ("1000:1000", "1000:5")]
)
def test_a_group_of_its_own_does_not_make_a_container_root(image_user: str, user: str) -> None:
    pod = a_confined(runAsGroup=5)

    assert needs_image_user(pod["spec"], pod["spec"]["containers"][0])
    assert security(pod, image_user=image_user).user == user


@pytest.mark.parametrize(
    ("image_user", "why"),
    [
        ("", "container has runAsNonRoot and image will run as root"),
        ("00", "container has runAsNonRoot and image will run as root"),
        ("1000", ""),
        (
            "shop",
            "container has runAsNonRoot and image has non-numeric user (shop), cannot verify user is non-root",
        ),
    ],
)
def test_run_as_non_root(image_user: str, why: str) -> None:
    pod = a_confined(runAsNonRoot=True)

    assert runs_as_root(pod["spec"], pod["spec"]["containers"][0], image_user) == why


def test_root_by_its_own_word_breaks_run_as_non_root() -> None:
    pod = a_confined({"runAsUser": 0}, runAsNonRoot=True)

    why = runs_as_root(pod["spec"], pod["spec"]["containers"][0], "1000")

    assert why == "container's runAsUser breaks non-root policy"


@pytest.mark.parametrize(
    ("profile", "seccomp"),
    [({"type": "Unconfined"}, "unconfined"), ({"type": "RuntimeDefault"}, "")],
)
def test_seccomp_profiles_by_type(profile: dict[str, str], seccomp: str) -> None:
    assert security(a_confined(seccompProfile=profile)).seccomp == seccomp


REFUSED = {
    "no seccomp at all": (
        {"seccompProfile": {"type": "RuntimeDefault"}},
        Confinement(seccomp=False, seccomp_default=False),
        "seccompProfile RuntimeDefault: this node's engine has no seccomp",
    ),
    "a default that confines nothing": (
        {"seccompProfile": {"type": "RuntimeDefault"}},
        Confinement(seccomp_default=False),
        "seccompProfile RuntimeDefault: this node's engine has `unconfined` as its default profile",
    ),
    "no AppArmor": (
        {"appArmorProfile": {"type": "RuntimeDefault"}},
        Confinement(),
        "Cannot enforce AppArmor: AppArmor is not enabled on the host",
    ),
    "groups that the image adds": (
        {"supplementalGroupsPolicy": "Strict", "runAsUser": 1},
        Confinement(),
        "supplementalGroupsPolicy Strict needs runAsGroup on this engine: without one it adds the groups that the "
        "image's /etc/group has for the user",
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_what_the_engine_cannot_give_is_refused(case: tuple[dict[str, Any], Confinement, str]) -> None:
    context, host, why = case

    with pytest.raises(Invalid) as refused:
        security(a_confined(**context), host)

    assert str(refused.value) == why


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", '{"defaultAction": ""}', '{"defaultAction": "SCMP_ACT_ALLOW"}', "not json"],
)
def test_a_seccomp_profile_that_confines_nothing_fails_closed(tmp_path: Path, text: str) -> None:
    (tmp_path / "shop.json").write_text(text)

    with pytest.raises(Invalid, match="cannot load seccomp profile"):
        read_profile(tmp_path, "shop.json")


@pytest.mark.parametrize("name", ["missing.json", "../etc/shop.json", "/etc/shop.json", "."])
def test_a_seccomp_profile_that_is_not_there_fails_closed(tmp_path: Path, name: str) -> None:
    with pytest.raises(Invalid, match="seccomp profile"):
        read_profile(tmp_path, name)


def test_a_local_profile_is_handed_to_the_engine_as_text(tmp_path: Path) -> None:
    text = '{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": []}'
    (tmp_path / "shop.json").write_text(text)
    engine = EngineInfo("docker", "20.10", "1.41", "", "", "amd64", 1, 1, ("name=seccomp,profile=default",))

    found = security(
        a_confined(seccompProfile={"type": "Localhost", "localhostProfile": "shop.json"}),
        confinement(engine, tmp_path),
    )

    assert found.seccomp == text


@pytest.mark.parametrize("name", ["unconfined", ""])
def test_a_profile_of_the_node_is_never_a_word_for_none(name: str) -> None:
    """Pod security allows Localhost and forbids Unconfined: the engine would take the one for the other."""
    profile = {"type": "Localhost", "localhostProfile": name}

    with pytest.raises(Invalid, match="wanted the name of a profile"):
        security(a_confined(appArmorProfile=profile), Confinement(apparmor=True))


def test_what_an_engine_tells_of_its_security(tmp_path: Path) -> None:
    options = ("name=apparmor", "name=seccomp,profile=unconfined", "name=userns", "name=rootless")
    engine = EngineInfo("docker", "28.0", "1.45", "", "", "amd64", 1, 1, options)

    assert confinement(engine, tmp_path)[:5] == (True, False, True, True, True)


def test_user_namespaces_are_refused_where_the_engine_has_none() -> None:
    pod = a_pod(containers=[{"name": "app", "image": "shop:1"}], hostUsers=False)

    assert sandbox_refusal(pod["spec"], Confinement(user_namespaces=True)) == ""
    assert sandbox_refusal(pod["spec"], Confinement()).startswith("hostUsers: false needs user namespaces")


def test_read_only_to_its_depth_needs_an_engine_that_can() -> None:
    mount = {"name": "data", "mountPath": "/data", "readOnly": True, "recursiveReadOnly": "Enabled"}
    pod = a_pod(containers=[{"name": "app", "image": "shop:1", "volumeMounts": [mount]}])
    container, found = pod["spec"]["containers"][0], (Mount("/x", "/data", read_only=True),)

    assert mounts_of(container, found, Confinement(recursive_read_only=True))[0].recursive
    with pytest.raises(Invalid, match="recursiveReadOnly Enabled needs Docker 25"):
        mounts_of(container, found, Confinement())
