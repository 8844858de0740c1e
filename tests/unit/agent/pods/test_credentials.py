"""Which logins fit an image, as the kubelet's keyring decides it."""

from base64 import b64encode
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.pods.credentials import Keyring, Login, logins_in
from agent.pods.pulling import is_image_name
from gitops.kinds.sensitive import Sensitive


def keyring(*places: str) -> Keyring:
    """A login for each, named after it."""
    return Keyring((place, Login(place, Sensitive("hush"))) for place in places)


def names(places: tuple[str, ...], image: str) -> list[str]:
    return [login.username for login in keyring(*places).of(image)]


FITS: dict[str, tuple[tuple[str, ...], str, list[str]]] = {
    "its own registry": (("a.example", "b.example"), "a.example/shop:1", ["a.example"]),
    "the port counts": (("a.example", "a.example:5000"), "a.example:5000/shop", ["a.example:5000"]),
    "a scheme does not": (("https://a.example",), "a.example/shop", ["https://a.example"]),
    "nor does /v2/": (("https://a.example/v2/",), "a.example/shop", ["https://a.example/v2/"]),
    "a path has to begin the image's": (
        ("a.example/team", "a.example/other"),
        "a.example/team/web",
        ["a.example/team"],
    ),
    "the longest first": (
        ("a.example", "a.example/team"),
        "a.example/team/web",
        ["a.example/team", "a.example"],
    ),
    "the tag is no path": (("a.example/team/web:1",), "a.example/team/web:1", []),
    "a star is one part": (("*.a.example",), "b.a.example/shop", ["*.a.example"]),
    "and not two": (("*.a.example",), "c.b.a.example/shop", []),
    "nor none": (("*.a.example",), "a.example/shop", []),
    "a digest": (("a.example",), "a.example/shop@sha256:" + "0" * 64, ["a.example"]),
    "Docker Hub's old name": (("https://index.docker.io/v1/",), "nginx", ["https://index.docker.io/v1/"]),
    "Docker Hub by name": (("docker.io",), "docker.io/library/nginx", ["docker.io"]),
    "a registry's login is not shown to Docker Hub": (("a.example",), "nginx", []),
    "nor Docker Hub's to others": (("https://index.docker.io/v1/",), "a.example/nginx", []),
    "a host that ends alike": (("example",), "a.example/shop", []),
    "nothing": ((), "nginx", []),
}


@pytest.mark.parametrize("case", FITS.values(), ids=FITS.keys())
def test_what_fits(case: tuple[tuple[str, ...], str, list[str]]) -> None:
    places, image, wanted = case

    assert names(places, image) == wanted


def test_both_forms_of_pull_secrets_are_read() -> None:
    entry = {"auth": b64encode(b"me:pass:word").decode()}
    new = list(logins_in(".dockerconfigjson", orjson.dumps({"auths": {"a.example": entry}})))
    old = list(
        logins_in(".dockercfg", orjson.dumps({"a.example": {"username": "me", "password": "pass:word"}}))
    )

    assert new == old == [("a.example", Login("me", Sensitive("pass:word")))]


@pytest.mark.parametrize(
    "content",
    [
        b"no json",
        b"[]",
        b"1",
        b'{"auths": []}',
        b'{"auths": {"a": 1}}',
        b'{"auths": {"a": {"auth": "!"}}}',
        b'{"auths": {"a": {"auth": "bm9jb2xvbg=="}}}',
        b'{"auths": {"a": {"username": 1}}}',
        b'{"auths": {"a": {}}}',
    ],
)
def test_what_cannot_be_read_is_passed_over(content: bytes) -> None:
    assert list(logins_in(".dockerconfigjson", content)) == []


@given(st.dictionaries(st.text(), st.dictionaries(st.text(), st.text() | st.integers(0, 9))), st.text())
def test_no_pull_secret_breaks_the_node(auths: Any, image: str) -> None:
    Keyring(logins_in(".dockerconfigjson", orjson.dumps({"auths": auths}))).of(image)


NAMES = {
    "nginx": True,
    "nginx:1.27": True,
    "library/nginx": True,
    "a.example:5000/team/web:v1.0_x": True,
    "127.0.0.1:5000/shop:1": True,
    "web@sha256:" + "0" * 64: True,
    "Shop": False,
    "a.example/Shop": False,
    "web:": False,
    "web:.1": False,
    "web@sha256:12": False,
    "http://a.example/web": False,
    "a//b": False,
    "web ": False,
    "": False,
}


@pytest.mark.parametrize(("name", "is_one"), NAMES.items(), ids=repr)
def test_names_of_images(name: str, is_one: bool) -> None:
    assert is_image_name(name) == is_one
