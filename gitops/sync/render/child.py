"""The parser's processes: a zygote, which has imported everything and forks a child for each look. It never execs.

Run as `python -m gitops.sync.render.child FD EMPTY_ROOT`; `gitops/sync/zygote.py` is the other side.
"""

import os
import socket
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn

import orjson

from gitops.sync.render.fork_server import say_nothing, serve_forks
from gitops.sync.render.isolate import isolate, limit
from gitops.sync.render.parse import field_lines, parse, parse_input, parse_rendered, to_json
from gitops.sync.render.wire import Closed, receive_frame, send_frame

REQUEST_BYTES_MAX: Final = 20 << 20  # What a renderer puts out is the largest.
_SAMPLES: Final = (  # Every road once: what Python loads on first use cannot be loaded from an empty root.
    b"\xef\xbb\xbfa: {b: [1, 1.5, 2020-01-01, *c]}",
    b'{"a": "\\ud83d',
    b"a: \xe4",
    b"a: !!binary aGk=",
    b"kind: List\napiVersion: v1\nitems: [{}]",
    b"a: 2020-01-01T00:00:00+01:00\nsops: {encrypted_regex: ^(a|b)$, mac: x}",
    b"a: 1\nsops: {encrypted_regex: (}",
)

_READERS: Final = {"manifests": parse, "rendered": parse_rendered, "input": parse_input}


def main(control_fd: int, empty_root: str) -> None:
    """Fork a child for every socket that arrives, and answer with a pidfd of it, until the master is gone."""
    with socket.socket(fileno=control_fd) as control:
        for sample in _SAMPLES:
            orjson.dumps(to_json(parse(sample)))
            to_json(parse_rendered(sample))
            to_json(parse_input(sample))
            field_lines(sample, 0)
        nothing = os.open(os.devnull, os.O_RDWR)
        isolation = isolate(empty_root)
        say_nothing(nothing)
        serve_forks(control, isolation, _serve, descriptors_max=1)


def _answer(question: dict[str, Any], content: bytes) -> dict[str, Any]:
    if question["lines_of"] is not None:
        return field_lines(content, question["lines_of"])
    return to_json(_READERS[question["as"]](content))


def _serve(descriptors: Sequence[int]) -> NoReturn:
    """Answer until the master hangs up. A request is a question (JSON) and a text."""
    status = 1
    try:
        limit()
        requests = socket.socket(fileno=descriptors[0])
        while True:
            question = orjson.loads(receive_frame(requests, bytes_max=REQUEST_BYTES_MAX))
            content = receive_frame(requests, bytes_max=REQUEST_BYTES_MAX)
            send_frame(requests, orjson.dumps(_answer(question, content)))
    except Closed:
        status = 0
    finally:
        os._exit(status)  # Whatever happened: nothing of the zygote's runs in the child.


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
