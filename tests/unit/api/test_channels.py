"""What messages of the several WebSocket protocols say."""

import pytest

from gitops.api.channels import piece_of
from gitops.api.portforward import ports_of
from gitops.api.processes import status_of_exit
from gitops.client.streams import Piece
from gitops.kinds.errors import BadRequest

V4, V5 = "v4.channel.k8s.io", "v5.channel.k8s.io"


@pytest.mark.parametrize(
    ("protocol", "message", "piece"),
    [
        (V5, b"\x00hello", Piece(0, b"hello")),
        (V5, b"\xff\x00", Piece(0, b"")),
        (V5, b"\xff\x01", None),
        (V5, b"\xff", None),
        (V4, b"\xff\x00", Piece(255, b"\x00")),
        (V4, b"\x00", None),
        (V4, b"", None),
        (V4, b'\x04{"Width":80,"Height":24}\n', Piece(4, b'{"Width":80,"Height":24}\n')),
        (V4, "\x00text", Piece(0, b"text")),
        ("base64.channel.k8s.io", "0aGVsbG8=", Piece(0, b"hello")),
        ("base64.channel.k8s.io", b"0aGVsbG8=", Piece(0, b"hello")),
        ("base64.channel.k8s.io", "0not base64", None),
        ("base64.channel.k8s.io", "xaGVsbG8=", None),
    ],
)
def test_messages(protocol: str, message: bytes | str, piece: Piece | None) -> None:
    assert piece_of(protocol, message) == piece


def test_an_exit_code_is_told_as_kubectl_reads_it() -> None:
    assert status_of_exit(0) == {"metadata": {}, "status": "Success"}
    assert status_of_exit(3)["reason"] == "NonZeroExitCode"
    assert status_of_exit(3)["details"] == {"causes": [{"reason": "ExitCode", "message": "3"}]}


def test_ports_in_a_url() -> None:
    assert ports_of(["80,81", "82"]) == (80, 81, 82)
    for wrong in ([], ["0"], ["65536"], ["x"], [""]):
        with pytest.raises(BadRequest):
            ports_of(wrong)
