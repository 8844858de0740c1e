"""A master that is not reached is told of in words for whoever typed its address."""

import asyncio
import errno
import socket
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from gitops.client.joining import fetch_ca
from gitops.client.unreached import why_unreached
from gitops.kinds.errors import Unavailable


@pytest.fixture
def nobody() -> str:
    """A URL of this host at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"https://127.0.0.1:{taken.getsockname()[1]}"


def test_who_joins_where_nobody_listens_is_told_how_the_master_is_made_to(nobody: str) -> None:
    with pytest.raises(Unavailable) as told:
        asyncio.run(fetch_ca(nobody, "0" * 64))

    assert str(told.value) == (
        f"master {nobody}/gitward/v1/ca: Connection refused: it listens on loopback alone unless it was started with "
        "`--listen ADDRESS:PORT`"
    )


def test_a_name_that_is_none_is_told_in_the_resolvers_words() -> None:
    with pytest.raises(Unavailable) as told:
        asyncio.run(fetch_ca("https://master.invalid:6443", "0" * 64))

    assert "--listen" not in str(told.value)
    assert "ssl" not in str(told.value)


KEY = ConnectionKey("h", 6443, True, ssl.create_default_context(), None, None, None, None)
TOLD = {
    "refused": (
        aiohttp.ClientConnectorError(KEY, OSError(errno.ECONNREFUSED, "x")),
        "Connection refused",
    ),
    "no way": (aiohttp.ClientConnectorError(KEY, OSError(errno.EHOSTUNREACH, "x")), "No route to host"),
    "another's certificate": (
        aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "[SSL] bad")),
        "[SSL] bad",
    ),
    "too slow": (TimeoutError(), "TimeoutError"),
}


@pytest.mark.parametrize(("error", "words"), TOLD.values(), ids=TOLD.keys())
def test_no_object_of_the_library_is_shown(error: Exception, words: str) -> None:
    assert why_unreached(error) == words
