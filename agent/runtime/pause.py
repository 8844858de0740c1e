"""The image of a pod's sandbox: a hand-made ELF of some 200 bytes, loaded into the engine, never pulled.

It blocks all signals and waits for them: SIGTERM and SIGINT end it, on any other it reaps children that were left to
it. Blocked signals reach even PID 1, so it needs no handler. Its image id is known beforehand, the same on every host.

With an argument (`UNSHARE`) it first leaves its network namespace for a new one, and then is user and group 65535 for
good: an engine that makes a network namespace by a hook of its own (Docker until 27) takes half as long without. Who
sees it as that user knows that it has left; where it cannot, it ends with 1.
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
NAME: Final = "gitward.io/pause:2"
UNSHARE: Final = "unshare"  # Any argument does.
USER: Final = 65535

# Without an argument on to the rest; else unshare(CLONE_NEWNET), setresgid and setresuid(USER, USER, USER), each of
# which must answer 0.
_AMD64_LEAVE: Final = bytes.fromhex(
    "833c2401 7435"  # cmp dword [rsp], 1; je rest
    "bf00000040 b810010000 0f05 85c0 751b"  # rdi = 0x40000000; rax = 272; test eax, eax; jne fail
    "bfffff0000 89fe 89fa 6a7758 0f05 85c0 7509"  # edi = esi = edx = 65535; rax = 119; test; jne fail
    "6a7558 0f05 85c0 740a"  # rax = 117, the rest is as it was; test; je rest
    "6a015f b8e7000000 0f05"  # fail: rdi = 1; rax = 231 (exit_group)
)

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

    def branch_if_not_0(words: int) -> int:
        return 0x35000000 | (words & 0x7FFFF) << 5

    minus_one, svc, equal, greater = 0x92800000, 0xD4000001, 0, 12
    clone_newnet, load_argc, compare_with_1 = 0xD2A80000, 0xB94003E0, 0x7100041F
    end_with_1 = [mov(0, 1), mov(8, 94), svc]
    become = [mov(0, USER), mov(8, 147), svc]  # setresuid, of the three that setresgid had; 0 is in x0 then.
    group = [mov(0, USER), mov(1, USER), mov(2, USER), mov(8, 149), svc, branch_if_not_0(len(become) + 2)]
    unshare = [clone_newnet, mov(8, 97), svc, branch_if_not_0(len(group) + len(become) + 2)]
    stay = 0x34000000 | (len(end_with_1) + 1) << 5  # If x0 is 0, past the end.
    away = [*unshare, *group, *become, stay, *end_with_1]
    leave = [load_argc, compare_with_1, branch_if(equal, len(away) + 1), *away]

    block = [minus_one, 0xF81F0FE0, 0x910003E1, mov(0, 2), mov(2, 0), mov(3, 8), mov(8, 135), svc]
    wait = [0x910003E0, mov(1, 0), mov(2, 0), mov(3, 8), mov(8, 137), svc]
    reap = [minus_one, mov(1, 0), mov(2, 1), mov(3, 0), mov(8, 260), svc, 0x7100001F, branch_if(greater, -7)]
    ends = len(reap) + 1  # Words from the last of the four below to `end`, the jump back included.
    check = [
        0x7100001F | 15 << 10,
        branch_if(equal, ends + 3),
        0x7100001F | 2 << 10,
        branch_if(equal, ends + 1),
    ]
    again = 0x14000000 | -(len(wait) + len(check) + len(reap)) & 0x3FFFFFF
    end = [mov(0, 0), mov(8, 94), svc]
    words = [*leave, *block, *wait, *check, *reap, again, *end]
    return b"".join(struct.pack("<I", word) for word in words)


class Image(NamedTuple):
    """A docker-archive for `POST /images/load`, and the id that the image has once loaded."""

    id: str
    archive: bytes


def elf(architecture: str) -> bytes:
    """The program for amd64 or arm64; KeyError for any other."""
    code = {"amd64": _AMD64_LEAVE + _AMD64, "arm64": _arm64()}[architecture]
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
