"""Which representation an Accept header gets, and what may be opened in it."""

from datetime import UTC, datetime
from typing import Final, cast

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from gitops.api.context import Target
from gitops.api.represent import Representation, encode, encode_one, wanted
from gitops.kinds.core.config import SECRET
from gitops.kinds.objects import KubeObject
from gitops.kinds.sensitive import Sensitive

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
TABLE: Final = "application/json;as=Table;v=v1;g=meta.k8s.io"

ACCEPTS: Final = {
    "": Representation.OBJECT,
    "*/*": Representation.OBJECT,
    "application/json": Representation.OBJECT,
    "application/json;q=0.5": Representation.OBJECT,
    f"{TABLE},application/json": Representation.TABLE,
    "application/json;as=Table;v=v1beta1;g=meta.k8s.io": Representation.TABLE,
    "application/vnd.kubernetes.protobuf,application/json": Representation.OBJECT,
    "application/json;as=Table;v=v1;g=meta.k8s.io;profile=x,application/json": Representation.OBJECT,
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io": Representation.METADATA,
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io": Representation.METADATA,
}


def asked(accept: str) -> web.Request:
    return make_mocked_request("GET", "/api/v1/pods", headers={"Accept": accept} if accept else {})


@pytest.mark.parametrize("accept", ACCEPTS)
def test_the_first_known_entry_counts(accept: str) -> None:
    assert wanted(asked(accept)) is ACCEPTS[accept]


@pytest.mark.parametrize(
    "accept", ["text/html", "application/yaml", "application/json;as=Other;v=v1;g=meta.k8s.io"]
)
def test_where_none_is_known_nothing_is_acceptable(accept: str) -> None:
    with pytest.raises(web.HTTPNotAcceptable):
        wanted(asked(accept))


def with_a_secret(kind: str) -> KubeObject:
    meta = {"name": "x", "namespace": "default"}
    obj = {"apiVersion": "v1", "kind": kind, "metadata": meta, "type": "Opaque"}
    return cast(KubeObject, {**obj, "data": {"key": Sensitive("Y2FuYXJ5")}})


def test_leaves_of_secrets_and_configmaps_are_opened_and_of_nothing_else() -> None:
    for kind in ("Secret", "ConfigMap"):
        assert orjson.loads(encode(with_a_secret(kind)))["data"] == {"key": "Y2FuYXJ5"}
    with pytest.raises(TypeError):
        encode(with_a_secret("Pod"))


@pytest.mark.parametrize("how", [Representation.TABLE, Representation.METADATA])
def test_a_row_and_the_metadata_of_a_secret_do_not_show_it(how: Representation) -> None:
    assert b"Y2FuYXJ5" not in encode_one(with_a_secret("Secret"), Target(SECRET, "default"), how, NOW)
