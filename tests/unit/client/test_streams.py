"""Streams between master and agent: order, credit, ends."""

import asyncio

import orjson
import pytest

from gitops.client.streams import CREDIT_FROM_BYTES, WINDOW_BYTES, Piece, Stream, decode_piece, encode_piece
from gitops.kinds.errors import Unavailable


class Pair:
    """Two ends and the frames between them."""

    def __init__(self) -> None:
        self.sent_bytes = 0
        self.ours, self.theirs = Stream(7, self._there), Stream(7, self._back)

    async def _there(self, frame: bytes | str) -> None:
        assert isinstance(frame, bytes)
        number, piece = decode_piece(frame)
        assert number == 7
        self.sent_bytes += len(piece.data)
        self.theirs.arrived(piece)

    async def _back(self, frame: bytes | str) -> None:
        assert isinstance(frame, str)
        self.ours.credited(orjson.loads(frame)["credit"])


def test_a_piece_survives_the_wire() -> None:
    assert decode_piece(encode_piece(300, 4, b"data")) == (300, Piece(4, b"data"))
    with pytest.raises(ValueError, match="without a head"):
        decode_piece(b"\0\0\0\1")


def test_no_more_is_sent_than_is_taken_and_all_of_it_in_order() -> None:
    async def scenario() -> None:
        pair, content = Pair(), bytes(range(256)) * 4_096
        sending = asyncio.create_task(pair.ours.send(1, content))
        await asyncio.sleep(0.01)
        assert pair.sent_bytes == WINDOW_BYTES

        taken = b""
        while len(taken) < len(content):
            piece = await pair.theirs.receive()
            assert piece is not None
            taken += piece.data
        await sending
        assert taken == content
        assert pair.sent_bytes - len(content) < CREDIT_FROM_BYTES

    asyncio.run(scenario())


def test_the_end_of_a_channel_is_not_the_end_of_the_stream() -> None:
    async def scenario() -> None:
        pair = Pair()
        await pair.ours.send(0, b"last")
        await pair.ours.finish(0)
        await pair.ours.send(4, b"{}")
        pair.theirs.over()

        found = [await pair.theirs.receive() for _ in range(4)]
        assert found == [Piece(0, b"last"), Piece(0, b""), Piece(4, b"{}"), None]

    asyncio.run(scenario())


def test_a_sender_that_waits_hears_of_the_end() -> None:
    async def scenario() -> None:
        pair = Pair()
        sending = asyncio.create_task(pair.ours.send(1, b"x" * (WINDOW_BYTES + 1)))
        await asyncio.sleep(0.01)
        pair.ours.over(Unavailable("the connection was lost"))
        with pytest.raises(Unavailable, match="the connection was lost"):
            await sending

    asyncio.run(scenario())


def test_a_peer_that_ends_channels_without_end_is_cut_off() -> None:
    async def scenario() -> None:
        stream = Stream(1, lambda _: asyncio.sleep(0))
        for _ in range(WINDOW_BYTES + 1):
            stream.arrived(Piece(0, b""))
        with pytest.raises(Unavailable, match="more than it was allowed"):
            await stream.receive()

    asyncio.run(scenario())
