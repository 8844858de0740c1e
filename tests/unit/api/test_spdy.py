"""SPDY's frames and streams, from what clients send."""

import asyncio
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.api.spdy import SpdySession, SpdyStream, frames
from gitops.api.spdy.frames import Data, Ping, Reader, Reset, Syn, Writer
from gitops.kinds.errors import BadRequest

HEADERS = {"streamtype": "data", "port": "80", "requestid": "0"}


def conversation() -> bytes:
    writer = Writer()
    return b"".join(
        (
            writer.syn(1, {"Streamtype": "error", "port": "80", "requestID": "0"}),
            frames.data(1, b"", fin=True),
            writer.syn(3, HEADERS),
            writer.reply(1),
            frames.data(3, b"hello"),
            frames.ping(7),
            frames.reset(3),
        )
    )


@given(cuts=st.lists(st.integers(0, 400), max_size=20))
def test_frames_are_the_same_however_the_bytes_are_cut(cuts: list[int]) -> None:
    whole, reader = conversation(), Reader()
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]

    found = [frame for start, end in pairwise(edges) for frame in reader.feed(whole[start:end])]

    assert found == [
        Syn(1, {"streamtype": "error", "port": "80", "requestid": "0"}, False),
        Data(1, b"", True),
        Syn(3, HEADERS, False),
        Data(3, b"hello", False),
        Ping(7),
        Reset(3),
    ]


@given(st.binary(max_size=4_000))
def test_whatever_comes_is_frames_or_refused(data: bytes) -> None:
    with suppress(BadRequest):
        list(Reader().feed(data))


@given(st.binary(min_size=1, max_size=200))
def test_headers_that_are_no_headers_are_refused_or_read(block: bytes) -> None:
    syn = frames._frame(frames.SYN_STREAM, b"\0\0\0\1" + bytes(6) + block)

    with suppress(BadRequest):
        assert len(list(Reader().feed(syn))) == 1


def test_headers_that_swell_are_refused() -> None:
    with pytest.raises(BadRequest, match="headers of more than 16384 bytes"):
        list(Reader().feed(Writer().syn(1, {"a": "x" * 1_000_000})))


class Wire:
    """What a client sends, and what it is sent."""

    def __init__(self, *sent: bytes) -> None:
        self._sent = [*sent, b""]
        self.got = b""

    async def read(self) -> bytes:
        await asyncio.sleep(0)
        return self._sent.pop(0)

    async def write(self, data: bytes) -> None:
        self.got += data


def test_a_stream_gives_what_was_sent_and_ends_with_its_client() -> None:
    async def scenario() -> None:
        writer, opened = Writer(), list[SpdyStream]()
        wire = Wire(writer.syn(1, HEADERS) + frames.data(1, b"a") + frames.data(1, b"b", fin=True))
        await SpdySession(wire, opened.append).run()
        (stream,) = opened

        assert [await stream.read(), await stream.read(), await stream.read()] == [b"a", b"b", b""]
        assert stream.headers["port"] == "80"
        with pytest.raises(ConnectionResetError):
            await stream.write(b"x")

    asyncio.run(scenario())


@pytest.mark.parametrize("number", [2, 0])
def test_a_stream_that_only_a_server_may_make_is_refused(number: int) -> None:
    with pytest.raises(BadRequest, match="a client's are odd and grow"):
        asyncio.run(SpdySession(Wire(Writer().syn(number, HEADERS)), lambda _: None).run())
