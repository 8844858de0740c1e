"""Packing: what goes in comes out, whatever it is packed against; and what is damaged is said to be."""

import zlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.kinds.keys import Key
from gitops.store import Position, StoreUnusable
from gitops.store.pack import PLAIN, WINDOW_BYTES, Dictionary, stored_dictionary

KEY = Key("", "Pod", "shop", "a")
AT = Position(65_536)


@given(body=st.binary(max_size=20_000), sibling=st.binary(max_size=20_000))
def test_what_is_packed_comes_out_equal(body: bytes, sibling: bytes) -> None:
    dictionary = Dictionary(1, sibling)

    assert dictionary.unpack(dictionary.pack(body)) == body


def test_a_dictionary_that_was_stored_packs_as_before() -> None:
    sibling = orjson.dumps({"spec": list(range(5_000))})

    stored = Dictionary.stored(1, stored_dictionary(sibling))

    assert stored.pack(sibling[-2_000:]) == Dictionary(1, sibling).pack(sibling[-2_000:])


def test_a_sibling_takes_a_twentieth() -> None:
    bodies = [
        orjson.dumps({"metadata": {"name": name}, "spec": {f"field-{n}": f"value {n}" for n in range(150)}})
        for name in ("a", "b")
    ]

    assert len(Dictionary(1, bodies[0]).pack(bodies[1])) < len(bodies[1]) / 20


@pytest.mark.parametrize("body", [b"", b"\xff\xff\xff", zlib.compress(b"{}")])
def test_a_damaged_body_is_said_to_be_damaged(body: bytes) -> None:
    with pytest.raises(StoreUnusable, match="Pod shop/a: the stored body is damaged"):
        Dictionary(1, b"{}").open(KEY, AT, body)
    with pytest.raises(StoreUnusable, match="Pod shop/a: the stored body is damaged"):
        PLAIN.open(KEY, AT, body)


def test_a_damaged_dictionary_is_said_to_be_damaged() -> None:
    with pytest.raises(StoreUnusable, match="dictionary 7 is damaged"):
        Dictionary.stored(7, b"garbage")


def test_an_opened_object_bears_its_version() -> None:
    body = orjson.dumps({"kind": "Pod", "metadata": {"name": "a"}})
    dictionary = Dictionary(1, body)

    opened = {"kind": "Pod", "metadata": {"name": "a", "resourceVersion": "65536"}}
    assert PLAIN.open(KEY, AT, body) == dictionary.open(KEY, AT, dictionary.pack(body)) == opened


def test_a_much_larger_body_makes_a_better_dictionary() -> None:
    dictionary = Dictionary(1, b"x" * 1_000)

    assert not dictionary.is_outgrown(b"x" * 1_200)
    assert dictionary.is_outgrown(b"x" * 1_300)
    assert not Dictionary(1, b"x" * WINDOW_BYTES).is_outgrown(b"x" * 100_000)
