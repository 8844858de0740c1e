"""Kubernetes' protobuf becomes the JSON that it stands for, and what is malformed is refused and no more."""

import gzip
import json
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.api.protobuf import decode
from gitops.kinds.errors import BadRequest
from tests.tools import build_protobuf
from tests.tools.go_types import GoProgram
from tests.tools.kubectl import kubectl

HEAD: Final = b"k8s\x00"
NAMED: Final = b"\x0a\x03web"  # Field 1, three bytes.


def number(value: int) -> bytes:
    value &= (1 << 64) - 1
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def field(tag: int, content: bytes | str | int | bool) -> bytes:
    if isinstance(content, int):
        return number(tag << 3) + number(content)
    sent = content.encode() if isinstance(content, str) else content
    return number(tag << 3 | 2) + number(len(sent)) + sent


def a_body(api_version: str, kind: str, raw: bytes) -> bytes:
    return (
        HEAD + field(1, field(1, api_version) + field(2, kind)) + field(2, raw) + field(3, "") + field(4, "")
    )


def test_a_config_map_has_its_texts_and_its_bytes_in_base64() -> None:
    entries = field(2, field(1, "a") + field(2, "1")) + field(2, field(1, "empty"))
    raw = field(1, NAMED) + entries + field(3, field(1, "b") + field(2, b"\xff\x00")) + field(4, True)

    found = decode(a_body("v1", "ConfigMap", raw), "v1", "ConfigMap")

    assert found == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "web"},
        "data": {"a": "1", "empty": ""},
        "binaryData": {"b": "/wA="},
        "immutable": True,
    }


def test_what_go_writes_empty_is_absent_and_what_it_points_to_is_there() -> None:
    metadata = (
        NAMED + field(2, "") + field(7, 0) + field(8, b"")
    )  # generateName, generation, creationTimestamp.
    strategy = field(2, field(1, field(1, 0) + field(2, 0) + field(3, "")))  # maxUnavailable: 0, a pointer.
    raw = field(1, metadata) + field(2, field(1, 0) + field(4, strategy) + field(5, 0))

    found = decode(a_body("apps/v1", "Deployment", raw), "apps/v1", "Deployment")

    assert found["metadata"] == {"name": "web"}
    assert found["spec"] == {"replicas": 0, "strategy": {"rollingUpdate": {"maxUnavailable": 0}}}


def test_what_is_inlined_quantities_times_and_ports_are_as_in_json() -> None:
    volume = field(1, "tmp") + field(2, field(2, field(1, "Memory") + field(2, field(1, "64Mi"))))
    port = field(3, 80) + field(4, field(1, 1) + field(3, "http"))
    unset = field(3, 81) + field(4, field(1, 0) + field(2, 0) + field(3, ""))
    moment = field(8, field(1, 1767225600) + field(2, 5))

    pod = decode(a_body("v1", "Pod", field(1, moment) + field(2, field(1, volume))), "v1", "Pod")
    service = decode(a_body("v1", "Service", field(2, field(1, port) + field(1, unset))), "v1", "Service")

    assert pod["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00Z"
    assert pod["spec"]["volumes"] == [{"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}]
    assert service["spec"]["ports"] == [{"port": 80, "targetPort": "http"}, {"port": 81}]


def test_negative_numbers_lists_in_maps_and_options_of_any_group() -> None:
    extra = field(5, field(1, "scopes") + field(2, field(1, "a") + field(1, "b")))
    review = a_body("authorization.k8s.io/v1", "SubjectAccessReview", field(2, extra + field(3, "ann")))
    options = a_body("apps/v1", "DeleteOptions", field(1, -1) + field(4, "Foreground") + field(5, "All"))

    found = decode(review, "", "")

    assert found["spec"] == {"extra": {"scopes": ["a", "b"]}, "user": "ann"}
    assert decode(options, "v1", "DeleteOptions") == {
        "apiVersion": "apps/v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": -1,
        "propagationPolicy": "Foreground",
        "dryRun": ["All"],
    }


def test_an_object_that_does_not_say_what_it_is_is_what_the_url_says() -> None:
    assert decode(HEAD + field(2, field(1, NAMED)), "v1", "Namespace") == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "web"},
    }


def test_a_field_of_a_newer_version_is_skipped() -> None:
    newer = field(900, "x") + number(901 << 3 | 1) + bytes(8) + number(902 << 3 | 5) + bytes(4)

    found = decode(a_body("v1", "Namespace", field(1, NAMED) + newer), "v1", "Namespace")

    assert found["metadata"] == {"name": "web"}


MALFORMED: Final = {
    "no head": (b"{}", "does not begin with"),
    "ends within a number": (HEAD + b"\x0a\x80", "ends within a number"),
    "ends within a field": (HEAD + b"\x12\x05ab", "ends within field 2"),
    "a group, given up long ago": (HEAD + b"\x13\x14", "wire type 3"),
    "a number without an end": (HEAD + b"\x08" + b"\xff" * 12, "more than 64 bits"),
    "no UTF-8": (a_body("v1", "Namespace", field(1, field(1, b"\xff"))), "not UTF-8"),
    "a number for a text": (a_body("v1", "Namespace", field(1, field(1, 5))), "wanted bytes"),
    "a text for a number": (a_body("v1", "Pod", field(1, field(7, "x"))), "wanted a number"),
    "a time beyond all years": (a_body("v1", "Pod", field(1, field(8, field(1, 1 << 60)))), "no time has"),
    "an unknown kind": (a_body("v1", "Pood", b""), "no kind Pood of v1"),
    "packed": (HEAD + field(2, b"") + field(3, "gzip"), "encoded as 'gzip'"),
}


@pytest.mark.parametrize(("body", "words"), MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_malformed_is_a_bad_request(body: bytes, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        decode(body, "v1", "Namespace")


def test_no_type_holds_itself_so_that_nothing_is_nested_without_end() -> None:
    messages = json.loads(gzip.decompress(build_protobuf.TARGET.read_bytes()))["messages"]

    def depth(message: int, above: tuple[int, ...] = ()) -> int:
        assert message not in above
        below = {kind for _, kind, _ in messages[message].values() if isinstance(kind, int)}
        return 1 + max((depth(one, (*above, message)) for one in below), default=0)

    assert max(depth(message) for message in range(len(messages))) < 20


@given(raw=st.binary(max_size=200), kind=st.sampled_from(["Pod", "Service", "ConfigMap", "DeleteOptions"]))
def test_any_bytes_are_an_object_or_a_bad_request(raw: bytes, kind: str) -> None:
    for body in (HEAD + raw, a_body("v1", kind, raw)):
        try:
            found = decode(body, "v1", kind)
        except BadRequest:
            continue
        assert json.loads(json.dumps(found)) == found


@given(data=st.dictionaries(st.text(), st.text()), labels=st.dictionaries(st.text(), st.text()))
def test_what_is_sent_is_what_is_read(data: dict[str, str], labels: dict[str, str]) -> None:
    entries = b"".join(field(2, field(1, key) + field(2, value)) for key, value in data.items())
    marks = b"".join(field(11, field(1, key) + field(2, value)) for key, value in labels.items())

    found = decode(a_body("v1", "ConfigMap", field(1, NAMED + marks) + entries), "v1", "ConfigMap")

    assert found.get("data", {}) == data
    assert found["metadata"].get("labels", {}) == labels


@given(cut=st.integers(0, 200))
def test_a_body_that_is_cut_is_never_taken_for_a_whole_one(cut: int) -> None:
    whole = a_body("v1", "ConfigMap", field(1, NAMED) + field(2, field(1, "a") + field(2, "1" * 120)))[:-4]
    if cut >= len(whole):
        return

    try:
        found = decode(whole[:cut], "v1", "ConfigMap")
    except BadRequest:
        return

    assert "data" not in found


def test_the_table_is_the_one_that_the_pinned_kubectl_carries() -> None:
    packed = json.loads(gzip.decompress(build_protobuf.TARGET.read_bytes()))

    assert packed == build_protobuf.build(GoProgram(kubectl()))
