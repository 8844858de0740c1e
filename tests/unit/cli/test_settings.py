"""From flags, environment variables and `gitward.yaml` to values."""

from pathlib import Path
from typing import Any

import pytest
import typer.main

from gitops.cli.main import app
from gitops.cli.seconds import seconds_of
from gitops.cli.settings import UpSettings, age_key_file_of, data_dir_of, kubeconfig_of
from gitops.cli.usage import WrongUsage
from tests.unit.cli.running import Shell

RIGHT: dict[str, Any] = {
    "repo": "https://git.example.com/shop.git",
    "branch": "",
    "path": "",
    "source_name": "main",
    "interval_seconds": 30.0,
    "data_dir": Path("/var/lib/gitward"),
    "age_key_file": None,
    "listen": "127.0.0.1:6443",
    "webhook_listen": "127.0.0.1:8180",
    "webhook_secret_file": None,
    "webhook_secrets_dir": None,
    "forge_token_file": None,
    "forge": "",
    "forge_url": "",
    "allow_mac_only_encrypted": False,
    "node": "docker",
    "node_name": "",
    "pod_cidr": "10.77.0.0/16",
    "service_cidr": "10.78.0.0/16",
    "ingress_http": "0.0.0.0:80",
    "ingress_https": "",
    "ssh_key_file": None,
    "known_hosts": None,
    "git_credentials_file": None,
}
WRONG = {
    "an interval below a second": ({"interval_seconds": 0.5}, "--interval: found 0.5, "),
    "an address without a port": ({"listen": "127.0.0.1"}, "--listen: found '127.0.0.1', "),
    "an address that is a port alone": ({"listen": ":6443"}, "--listen: found ':6443', ADDR:PORT"),
    "an API that listens nowhere": ({"listen": ""}, "--listen: found '', "),
    "a host name instead of an address": ({"webhook_listen": "localhost:80"}, "--webhook-listen: found "),
    "a port that is none": (
        {"ingress_http": "0.0.0.0:65536"},
        "--ingress-http: found '0.0.0.0:65536', ADDR:PORT",
    ),
    "a kind of node that is none": ({"node": "podman"}, "--node: found 'podman', "),
    "no simulated nodes": ({"node": "simulated:0"}, "--node: found 'simulated:0', "),
    "a node's name in capitals": ({"node_name": "Web"}, "--node-name: found 'Web', "),
    "a range with host bits": ({"pod_cidr": "10.77.0.1/16"}, "--pod-cidr: found '10.77.0.1/16', "),
    "a range that is too small": (
        {"service_cidr": "10.78.0.0/24"},
        "--service-cidr: found '10.78.0.0/24', an IPv4",
    ),
    "a range of IPv6": ({"pod_cidr": "fd00::/16"}, "--pod-cidr: found 'fd00::/16', an IPv4 range"),
    "ranges that overlap": (
        {"service_cidr": "10.77.0.0/20"},
        "--pod-cidr 10.77.0.0/16 and --service-cidr 10.77.",
    ),
    "a source's name with a slash": ({"source_name": "a/b"}, "--source-name: found 'a/b', "),
}


@pytest.mark.parametrize(("values", "told"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_value_is_told_with_its_flag_what_was_found_and_what_is_wanted(
    values: dict[str, Any], told: str
) -> None:
    with pytest.raises(WrongUsage) as error:
        UpSettings(**{**RIGHT, **values})

    assert told in str(error.value)


def test_all_wrong_values_are_told_at_once() -> None:
    with pytest.raises(WrongUsage) as error:
        UpSettings(**{**RIGHT, "node": "podman", "listen": "here"})

    assert "--node: found 'podman'" in str(error.value)
    assert "--listen: found 'here'" in str(error.value)


def test_simulated_nodes_are_counted() -> None:
    counts = {
        node: UpSettings(**{**RIGHT, "node": node}).simulated_nodes
        for node in ("docker", "none", "simulated", "simulated:7")
    }

    assert counts == {"docker": 0, "none": 0, "simulated": 1, "simulated:7": 7}


def test_a_duration_may_have_a_unit() -> None:
    assert [seconds_of("--interval", text) for text in ("500ms", "30s", "1.5m", "1h", "7")] == [
        0.5,
        30,
        90,
        3600,
        7,
    ]


def test_a_wrong_duration_names_its_flag(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "admin.kubeconfig").touch()

    ended = shell.run("sync", "--data-dir", str(tmp_path), "--timeout", "soon")

    assert ended.code == 64
    assert ended.err == "--timeout: found 'soon', wanted a duration such as 30s, 5m or 1h\n"


def test_a_flag_wins_over_the_environment_that_over_the_file_that_over_the_default(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "admin.kubeconfig").touch()
    monkeypatch.setenv("GITWARD_DATA_DIR", str(tmp_path))

    (tmp_path / "gitward.yaml").write_text("timeout: of-the-file\n")
    assert "found 'of-the-file'" in shell.run("sync").err
    monkeypatch.setenv("GITWARD_TIMEOUT", "of-the-environment")
    assert "found 'of-the-environment'" in shell.run("sync").err
    assert "found 'of-the-flag'" in shell.run("sync", "--timeout", "of-the-flag").err


def test_a_file_states_flags_of_the_commands_of_a_group_too(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "named.yaml").write_text("age-key-file: /nowhere/of-the-file.key\n")
    (tmp_path / "secret.yaml").write_text("a: b\n")

    ended = shell.run("--config", "named.yaml", "secret", "decrypt", "secret.yaml")

    assert ended.err == "/nowhere/of-the-file.key: No such file or directory\n"


def test_an_unknown_flag_in_a_file_is_told_with_a_suggestion(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "gitward.yaml").write_text("intervall: 5s\n")

    ended = shell.run("sync")

    assert ended == (64, "", "gitward.yaml: intervall is no flag of any command, did you mean interval?\n")


def test_a_file_in_a_repository_is_not_read_unless_it_is_named(shell: Shell, tmp_path: Path) -> None:
    """Whoever may push to a repository must not decide which master those talk to who work in a clone of it."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "gitward.yaml").write_text("kubeconfig: /evil\n")

    ended = shell.run("kubeconfig", "--data-dir", str(tmp_path))

    assert ended.code == 64
    assert (
        ended.err.splitlines()[0]
        == "gitward.yaml: lies in a git work tree, so it is not read; name it by --config"
    )
    assert "/evil" not in ended.err


@pytest.mark.parametrize("text", ["- repo\n", "repo: [\n"], ids=["a list", "no YAML"])
def test_an_unreadable_file_is_wrong_usage(shell: Shell, tmp_path: Path, text: str) -> None:
    (tmp_path / "gitward.yaml").write_text(text)

    ended = shell.run("status")

    assert ended.code == 64
    assert ended.err.startswith("gitward.yaml: ")


def test_every_flag_has_an_environment_variable() -> None:
    def without(command: Any) -> list[str]:
        below = [name for each in getattr(command, "commands", {}).values() for name in without(each)]
        return below + [f"{command.name} {param.opts[0]}" for param in command.params
                        if param.param_type_name == "option" and not param.envvar and param.name != "help"]  # fmt: skip

    assert without(typer.main.get_command(app)) == []


def test_age_keys_are_sought_in_the_flag_then_the_environment_then_the_data_directory(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert age_key_file_of(None, tmp_path) is None
    (tmp_path / "age.key").touch()
    assert age_key_file_of(None, tmp_path) == tmp_path / "age.key"
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", "/of/sops")
    assert age_key_file_of(None, tmp_path) == Path("/of/sops")
    assert age_key_file_of(Path("/of/the/flag"), tmp_path) == Path("/of/the/flag")


def test_the_kubeconfig_of_the_data_directory_is_the_last_resort(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "admin.kubeconfig").touch()

    assert kubeconfig_of(None, tmp_path) == tmp_path / "admin.kubeconfig"
    assert kubeconfig_of(Path("/named"), tmp_path) == Path("/named")
    with pytest.raises(WrongUsage, match=r"no master known: /nowhere/admin\.kubeconfig is not there"):
        kubeconfig_of(None, Path("/nowhere"))


def test_without_root_the_data_lies_in_the_home_of_who_starts_it(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/home/me/.state")

    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert data_dir_of(None) == Path("/home/me/.state/gitward")
    assert data_dir_of(Path("/given")) == Path("/given")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert data_dir_of(None) == Path("/var/lib/gitward")
