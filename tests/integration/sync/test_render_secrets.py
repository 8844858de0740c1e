"""Encrypted files in what is rendered: kubectl and helm never see a plain value, and only what belongs opens."""

import os
from base64 import b64decode
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from gitops.kinds.sensitive import Sensitive
from gitops.sync.compile import compile_files
from gitops.sync.render.box import End
from gitops.sync.render.renderer import Rendered
from gitops.sync.render.roots import renders
from gitops.sync.secrets.formats import Format
from gitops.sync.secrets.keys import keygen
from gitops.sync.secrets.opening import Keyring
from gitops.sync.secrets.wholes import encrypt_whole, fresh_sealing
from gitops.sync.secrets.writer import RULE, encrypt_any, encrypt_file
from tests.integration.sync.render_world import CHART, World, tree_of, world

NOW = datetime(2026, 1, 2, tzinfo=UTC)
IDENTITY, RECIPIENT = keygen()
KEYRING = Keyring([Sensitive(IDENTITY)])
SECRET = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\nstringData:\n  password: canary-7\n  user: canary-u\n"
OTHER = SECRET.replace("name: db", "name: other").replace("canary", "second")


def sealed(text: str = SECRET) -> str:
    return encrypt_file(text, [RECIPIENT], NOW)


def overlay(**files: str | bytes) -> dict[str, str | bytes]:
    return {
        "k/kustomization.yaml": "namespace: shop\nnamePrefix: big-\nresources: [s.yaml]\n",
        **{f"k/{name.replace('_', '.')}": text for name, text in files.items()},
    }


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("render")) as made:
        yield made


def stated(rendered: Rendered, keyring: Keyring = KEYRING) -> list[Any]:
    """The objects as they would be declared."""
    assert rendered.problems == ()
    assert rendered.file is not None
    compiled = compile_files([rendered.file], keyring.open, lambda file, index: {})
    assert compiled.problems == ()
    assert compiled.warnings == ()
    return [one.obj for one in compiled.objects]


def plain(secret: Any) -> dict[str, str]:
    return {name: b64decode(value.reveal()).decode() for name, value in secret["data"].items()}


def test_a_secret_is_opened_where_it_was_rendered_to(shop: World) -> None:
    (secret,) = stated(shop.one(overlay(s_yaml=sealed()), KEYRING.verified_key))

    assert secret["metadata"] == {"name": "big-db", "namespace": "shop"}
    assert plain(secret) == {"password": "canary-7", "user": "canary-u"}
    assert "sops" not in secret
    assert "canary" not in repr(secret)


def test_no_renderer_is_given_a_plain_value(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[bytes] = []
    run = shop.renderer._sandbox.run

    def watched(binary: int, arguments: Sequence[str], files: Sequence[tuple[str, bytes]]) -> End:
        given.extend(content for _, content in files)
        return run(binary, arguments, files)

    monkeypatch.setattr(shop.renderer._sandbox, "run", watched)  # It still runs.

    stated(shop.one(overlay(s_yaml=sealed(), note_txt="another"), KEYRING.verified_key))

    assert given
    assert b"canary" not in b"".join(given)


def test_encrypted_files_of_several_objects_each_open(shop: World) -> None:
    files = overlay(s_yaml=sealed(SECRET + "---\n" + OTHER), t_yaml=sealed(OTHER.replace("other", "third")))
    files["k/kustomization.yaml"] = "resources: [s.yaml, t.yaml]\n"

    found = stated(shop.one(files, KEYRING.verified_key))

    assert {secret["metadata"]["name"]: plain(secret)["password"] for secret in found} == {
        "db": "canary-7", "other": "second-7", "third": "second-7",
    }  # fmt: skip


def test_an_encrypted_patch_opens_too_on_a_clear_and_on_an_encrypted_object(shop: World) -> None:
    patch = sealed("apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\nstringData:\n  password: patched\n")
    for base in (SECRET, sealed()):
        files = overlay(s_yaml=base, p_yaml=patch)
        files["k/kustomization.yaml"] = "resources: [s.yaml]\npatches: [{path: p.yaml}]\n"

        rendered = shop.one(files, KEYRING.verified_key)

        assert rendered.file is not None, rendered.problems
        (secret,) = [
            one.obj for one in compile_files([rendered.file], KEYRING.open, lambda file, index: {}).objects
        ]
        assert plain(secret) == {"password": "patched", "user": "canary-u"}


def test_a_generator_may_take_encrypted_files(shop: World) -> None:
    files: dict[str, str | bytes] = {
        "k/kustomization.yaml": "secretGenerator: [{name: s, files: [a.yaml, b.bin], envs: [c.env]}]\n",
        "k/a.yaml": sealed("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: canary-1}\n"),
        "k/b.bin": encrypt_any(b"canary\n\0", Format.BINARY, [RECIPIENT], NOW),
        "k/c.env": encrypt_any(b"TOKEN=canary-3\nEMPTY=\n", Format.DOTENV, [RECIPIENT], NOW),
    }

    (secret,) = stated(shop.one(files, KEYRING.verified_key))

    found = plain(secret)
    assert "a: canary-1" in found.pop("a.yaml")
    assert found == {"b.bin": "canary\n\0", "TOKEN": "canary-3", "EMPTY": ""}
    assert secret["metadata"]["name"].startswith("s-")


def test_a_chart_may_hold_encrypted_secrets(shop: World) -> None:
    rendered = shop.one({"web/Chart.yaml": CHART, "web/templates/s.yaml": sealed()}, KEYRING.verified_key)

    (secret,) = stated(rendered)
    assert plain(secret) == {"password": "canary-7", "user": "canary-u"}


def test_the_key_is_asked_again_for_what_is_remembered(shop: World) -> None:
    files = overlay(s_yaml=sealed())
    without = shop.one(files, Keyring().verified_key)
    runs = shop.renderer.runs

    assert plain(stated(shop.one(files, KEYRING.verified_key))[0])["password"] == "canary-7"
    assert shop.renderer.runs == runs
    (problem,) = without.problems
    assert problem.startswith(
        "k/s.yaml:1: Secret big-db: stringData.password does not decrypt: k/s.yaml: cannot decrypt"
    )


def test_without_a_key_a_check_takes_some_text(shop: World) -> None:
    tree_files = overlay(s_yaml=sealed())
    shop.one(tree_files, KEYRING.verified_key)
    tree = tree_of(tree_files)
    jobs = shop.planner.jobs(renders(tree_files), tree)
    (rendered,) = shop.renderer.render(jobs, tree, Keyring().verified_key, placeholders=True)

    (secret,) = stated(rendered)
    assert plain(secret).keys() == {"password", "user"}


def replaced(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


def moved(text: str) -> str:
    """The encrypted password under another key, without the block that would tell."""
    value = next(line.partition(": ")[2] for line in text.splitlines() if "password: ENC[" in line)
    return f"apiVersion: v1\nkind: Secret\nmetadata: {{name: mine}}\nstringData:\n  shown: {value}\n"


CHANGED: dict[str, tuple[str, str]] = {
    "its name": (replaced(sealed(), "name: db", "name: mine"), "the file was changed after it was encrypted"),
    "a namespace": (replaced(sealed(), "name: db", "name: db\n  namespace: mine"), "the file was changed"),
    "its kind": (replaced(sealed(), "kind: Secret", "kind: ConfigMap"), "the file was changed"),
    "a value moved to another key": (moved(sealed()), "it is of no file that this folder reaches"),
}


@pytest.mark.parametrize("case", CHANGED.values(), ids=CHANGED.keys())
def test_a_file_that_was_changed_does_not_open(shop: World, case: tuple[str, str]) -> None:
    text, expected = case
    problems = shop.one(overlay(s_yaml=text), KEYRING.verified_key).problems

    assert expected in problems[0]
    assert "canary" not in str(problems)


def test_a_mac_over_encrypted_values_alone_is_refused_unless_it_is_allowed(shop: World) -> None:
    sealing = fresh_sealing(((RECIPIENT,),), 1, {**RULE, "mac_only_encrypted": True}, NOW, os.urandom)
    text = encrypt_whole(SECRET.encode(), Format.YAML, sealing).decode().replace("name: db", "name: mine")

    refused = shop.one(overlay(s_yaml=text), KEYRING.verified_key)
    allowed = shop.one(overlay(s_yaml=text), partial(KEYRING.verified_key, allow_mac_only_encrypted=True))

    assert "sops.mac_only_encrypted is refused in what is rendered" in refused.problems[0]
    assert stated(allowed)[0]["metadata"]["name"] == "big-mine"


def test_a_value_of_a_file_that_the_folder_does_not_reach_does_not_open(shop: World) -> None:
    text = sealed()
    files = {**overlay(s_yaml=moved(text)), "elsewhere/s.yaml": text}

    assert "does not decrypt" in shop.one(files, KEYRING.verified_key).problems[0]


MISPLACED: dict[str, tuple[dict[str, str | bytes], str]] = {
    "copied into a Deployment": (
        {
            "k/kustomization.yaml": """resources: [s.yaml, d.yaml]
replacements:
- source: {kind: Secret, fieldPath: stringData.password}
  targets: [{select: {kind: Pod}, fieldPaths: [spec.containers.0.image]}]
""",
            "k/s.yaml": sealed(),
            "k/d.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: x}]}\n",
        },
        "Pod p: an encrypted value came here, but only Secrets and ConfigMaps may hold one",
    ),
    "copied into a label": (
        {
            "k/kustomization.yaml": """resources: [s.yaml]
replacements:
- source: {kind: Secret, fieldPath: stringData.password}
  targets: [{select: {kind: Secret}, fieldPaths: [metadata.labels.x], options: {create: true}}]
""",
            "k/s.yaml": sealed(),
        },
        "Secret db: an encrypted value outside of data, binaryData, stringData",
    ),
    "an encrypted file in a ConfigMap": (
        {"k/kustomization.yaml": "configMapGenerator: [{name: s, files: [a.yaml]}]\n", "k/a.yaml": sealed()},
        "data.a.yaml is an encrypted file: a secretGenerator may take it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MISPLACED.values(), ids=MISPLACED.keys())
def test_an_encrypted_value_out_of_place_is_told(
    shop: World, case: tuple[dict[str, str | bytes], str]
) -> None:
    files, expected = case
    problems = shop.one(files, KEYRING.verified_key).problems

    assert expected in " ".join(problems)
    assert "canary" not in str(problems)


VALUES: dict[str, dict[str, str]] = {
    "the chart's own": {"c/values.yaml": sealed()},
    "a file that an annotation names": {
        "c/Chart.yaml": f"{CHART}annotations: {{gitward.io/values: secret.yaml}}\n",
        "c/secret.yaml": sealed(),
    },
}


@pytest.mark.parametrize("files", VALUES.values(), ids=VALUES.keys())
def test_an_encrypted_file_of_values_is_refused_by_name(shop: World, files: dict[str, str | bytes]) -> None:
    """Rendered as they are, its values would come out as text that says ENC."""
    url = "'a:{{ .Values.stringData.password }}'"
    template = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\ndata: {{url: {url}}}\n"
    rendered = shop.one(
        {"c/Chart.yaml": CHART, "c/templates/x.yaml": template, **files}, KEYRING.verified_key
    )

    (problem,) = rendered.problems
    assert problem.startswith(f"{list(files)[-1]}:1: an encrypted file of values: ")
