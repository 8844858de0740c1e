"""What `/gitward/v1` shows of an object: all of it but secrets."""

from typing import Any, Final, cast

import orjson

from gitops.api.gitward import answer, hidden
from gitops.kinds.objects import KubeObject
from gitops.kinds.sensitive import Sensitive

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def told(obj: dict[str, Any]) -> Any:
    return hidden(cast(KubeObject, obj))


def test_a_secret_is_hidden_whatever_its_values_are() -> None:
    meta = {"name": "keys", "annotations": {LAST_APPLIED: '{"data":{"a":"canary"}}', "team": "one"}}
    values = {"data": {"a": Sensitive("canary"), "b": "canary"}, "stringData": {"c": "canary"}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, **values, "type": "Opaque"}

    shown = told(secret)

    assert b"canary" not in orjson.dumps(shown)
    assert shown["data"] == {"a": "<sensitive>", "b": "<sensitive>"}
    assert shown["metadata"]["annotations"] == {LAST_APPLIED: "<sensitive>", "team": "one"}
    assert shown["type"] == "Opaque"


def test_of_a_config_map_only_what_was_encrypted_is_hidden() -> None:
    shown = told({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"},
                  "data": {"a": Sensitive("canary"), "b": "open"}})  # fmt: skip

    assert shown["data"] == {"a": "<sensitive>", "b": "open"}


def test_a_secret_that_slipped_into_an_answer_is_hidden_still() -> None:
    assert answer({"fields": [Sensitive("canary")]}).body == b'{"fields":["<sensitive>"]}'
