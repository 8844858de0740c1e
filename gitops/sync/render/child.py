"""The parser's processes: a zygote, which has imported everything and forks a child for each look. It never execs.

Run as `python -m gitops.sync.render.child FD EMPTY_ROOT`; `gitops/sync/zygote.py` is the other side.
"""

import os
import select
import socket
import sys
from typing import Any, Final, NoReturn

import orjson

from gitops.sync.render.isolate import isolate, limit
from gitops.sync.render.parse import field_lines, parse, parse_input, parse_rendered, to_json
from gitops.sync.render.wire import Closed, receive_frame, send_frame

REQUEST_BYTES_MAX: Final = 20 << 20  # What a renderer puts out is the largest.
REAP_SECONDS: Final = 1.0
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
        for descriptor in (0, 1, 2):  # A traceback would show what a repository holds.
            os.dup2(nothing, descriptor)
        os.close(nothing)
        send_frame(control, isolation.encode())
        children = 0
        while True:
            ready, _, _ = select.select([control], [], [], REAP_SECONDS if children else None)
            children -= _reaped()
            if not ready:
                continue
            message, descriptors, _, _ = socket.recv_fds(control, 1, 1)
            if not message:
                return
            pid = os.fork()
            if pid == 0:
                control.close()
                _serve(socket.socket(fileno=descriptors[0]))
            children += 1
            os.close(descriptors[0])
            pidfd = os.pidfd_open(pid)
            socket.send_fds(control, [b"+"], [pidfd])
            os.close(pidfd)


def _reaped() -> int:
    count = 0
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            count += 1
    except ChildProcessError:
        pass
    return count


def _answer(question: dict[str, Any], content: bytes) -> dict[str, Any]:
    if question["lines_of"] is not None:
        return field_lines(content, question["lines_of"])
    return to_json(_READERS[question["as"]](content))


def _serve(requests: socket.socket) -> NoReturn:
    """Answer until the master hangs up. A request is a question (JSON) and a text."""
    limit()
    status = 1
    try:
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
