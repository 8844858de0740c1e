"""Sealing: what goes in comes out, nothing shows it on the way, and it opens in its own place only."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject
from gitops.kinds.sensitive import Sensitive
from gitops.store import StoreUnusable
from gitops.store.seal import Sealer

SEALER = Sealer(bytes(range(32)))
KEY = Key("", "Secret", "shop", "s")

leaves = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text())
trees = st.recursive(
    st.one_of(leaves, st.text().map(Sensitive)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=12,
)


def a_secret(data: object) -> KubeObject:
    meta = {"name": "s", "namespace": "shop", "resourceVersion": "7"}
    return cast("KubeObject", {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data})


@given(tree=trees)
def test_what_is_sealed_opens_equal_without_its_version(tree: Any) -> None:
    body, sealed = SEALER.encode(KEY, a_secret(tree))

    opened = SEALER.decode(KEY, body, sealed)

    assert opened["metadata"] == {"name": "s", "namespace": "shop"}
    assert opened["data"] == tree  # type: ignore[typeddict-item] # Secrets have data.


def test_no_body_shows_a_value_and_no_two_are_alike() -> None:
    secret = a_secret({"p": Sensitive("canary")})

    first, second = SEALER.encode(KEY, secret), SEALER.encode(KEY, secret)

    assert first[1] is True
    assert b"canary" not in first[0]
    assert first[0] != second[0]


def test_a_value_opens_only_at_its_own_key_and_field() -> None:
    body, _ = SEALER.encode(KEY, a_secret({"p": Sensitive("x")}))

    with pytest.raises(StoreUnusable, match="tampered"):
        SEALER.decode(KEY._replace(name="t"), body, sealed=True)
    with pytest.raises(StoreUnusable, match="tampered"):
        SEALER.decode(KEY, body.replace(b'"p"', b'"q"'), sealed=True)
    with pytest.raises(StoreUnusable, match="tampered"):
        Sealer(bytes(32)).decode(KEY, body, sealed=True)


def test_a_body_without_secrets_is_plain() -> None:
    assert SEALER.encode(KEY, a_secret({"p": "x"}))[1] is False
