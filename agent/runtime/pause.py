"""The image of a pod's sandbox: a hand-made ELF of some 200 bytes, loaded into the engine, never pulled.

It blocks all signals and waits for them: SIGTERM and SIGINT end it, on any other it reaps children that were left to
it. Blocked signals reach even PID 1, so it needs no handler. Its image id is known beforehand, the same on every host.
"""

import io
import struct
import tarfile
from hashlib import sha256
from typing import Final, NamedTuple

import orjson

LOAD_ADDRESS: Final = 0x400000
ELF_HEADER_BYTES: Final = 64 + 56  # The header and one program header.
MACHINES: Final = {"amd64": 62, "arm64": 183}
NAME: Final = "gitward.io/pause:1"

# rt_sigprocmask(SIG_SETMASK, all, 0, 8); loop: rt_sigtimedwait(all, 0, 0, 8); on SIGTERM or SIGINT exit_group(0);
# while wait4(-1, 0, WNOHANG, 0) > 0: again; loop. The set of all signals is the -1 on top of the stack.
_AMD64: Final = bytes.fromhex(
    "6aff 4889e6 6a0e58 6a025f 31d2 6a08415a 0f05"  # push -1; rsi = rsp; rax = 14; rdi = 2; rdx = 0; r10 = 8
    "4889e7 31f6 31d2 6a08415a b880000000 0f05"  # loop: rdi = rsp; rsi = rdx = 0; r10 = 8; rax = 128
    "83f80f 741b 83f802 7416"  # cmp eax, 15; je exit; cmp eax, 2; je exit
    "6aff5f 31f6 6a015a 4d31d2 6a3d58 0f05 85c0 7fec ebce"  # reap: rdi = -1; … rax = 61; test; jg reap; jmp loop
    "31ff b8e7000000 0f05"  # exit: rdi = 0; rax = 231
)


def _arm64() -> bytes:
    def mov(register: int, value: int) -> int:
        return 0xD2800000 | value << 5 | register

    def branch_if(condition: int, words: int) -> int:
        return 0x54000000 | (words & 0x7FFFF) << 5 | condition

    minus_one, svc, equal, greater = 0x92800000, 0xD4000001, 0, 12
    block = [minus_one, 0xF81F0FE0, 0x910003E1, mov(0, 2), mov(2, 0), mov(3, 8), mov(8, 135), svc]
    wait = [0x910003E0, mov(1, 0), mov(2, 0), mov(3, 8), mov(8, 137), svc]
    reap = [minus_one, mov(1, 0), mov(2, 1), mov(3, 0), mov(8, 260), svc, 0x7100001F, branch_if(greater, -7)]
    ends = len(reap) + 1  # Words from the last of the four below to `leave`, the jump back included.
    check = [
        0x7100001F | 15 << 10,
        branch_if(equal, ends + 3),
        0x7100001F | 2 << 10,
        branch_if(equal, ends + 1),
    ]
    again = 0x14000000 | -(len(wait) + len(check) + len(reap)) & 0x3FFFFFF
    leave = [mov(0, 0), mov(8, 94), svc]
    return b"".join(struct.pack("<I", word) for word in [*block, *wait, *check, *reap, again, *leave])


class Image(NamedTuple):
    """A docker-archive for `POST /images/load`, and the id that the image has once loaded."""

    id: str
    archive: bytes


def elf(architecture: str) -> bytes:
    """The program for amd64 or arm64; KeyError for any other."""
    code = {"amd64": _AMD64, "arm64": _arm64()}[architecture]
    size = ELF_HEADER_BYTES + len(code)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    entry = LOAD_ADDRESS + ELF_HEADER_BYTES
    header = struct.pack("<HHIQQQIHHHHHH", 2, MACHINES[architecture], 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, LOAD_ADDRESS, LOAD_ADDRESS, size, size, 0x10000)
    return ident + header + segment + code


def image(architecture: str) -> Image:
    """The pause image for an engine of this architecture."""
    layer = _tar([("pause", elf(architecture), 0o755)])
    config = orjson.dumps(
        {
            "architecture": architecture,
            "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
            "created": "1970-01-01T00:00:00Z",
            "os": "linux",
            "rootfs": {"diff_ids": [f"sha256:{sha256(layer).hexdigest()}"], "type": "layers"},
        }
    )
    digest = sha256(config).hexdigest()
    manifest = orjson.dumps([{"Config": f"{digest}.json", "Layers": ["layer.tar"], "RepoTags": [NAME]}])
    files = [
        (f"{digest}.json", config, 0o644),
        ("layer.tar", layer, 0o644),
        ("manifest.json", manifest, 0o644),
    ]
    return Image(f"sha256:{digest}", _tar(files))


def _tar(files: list[tuple[str, bytes, int]]) -> bytes:
    """The same bytes for the same files: no times, no owners."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content, mode in files:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()
