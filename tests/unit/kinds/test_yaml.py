"""The YAML loader against what kubectl 1.35 reads, what it must refuse, and what a hostile text may cost."""

import json
import time
from typing import Any

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st

from gitops.kinds import yaml
from gitops.kinds.yaml import Unreadable, load, load_objects, position_of

KUBECTL_SAYS: dict[str, object] = {
    "yes": True,
    "No": False,
    "on": True,
    "OFF": False,
    "y": True,
    "N": False,
    "~": None,
    "": None,
    "2020-01-01": "2020-01-01",
    "2020-01-01T00:00:00Z": "2020-01-01T00:00:00Z",
    "0777": 511,
    "0o777": 511,
    "0b11": 3,
    "0x1F": 31,
    "-0x1F": -31,
    "1_000": 1000,
    "08": 8,
    "0129": 129,
    "12:30:45": "12:30:45",
    "1:20": "1:20",
    "1e3": 1000,
    "1.0": 1,
    "1.": 1,
    "1.10": 1.1,
    ".5": 0.5,
    "+1": 1,
    "1.2.3": "1.2.3",
    "9223372036854775807": 9223372036854775807,
    "=": "=",
    "'yes'": "yes",
    '"012"': "012",
    "!!str 12": "12",
    "!!binary aGVsbG8=": "hello",
    "250m": "250m",
    "1Gi": "1Gi",
    "10e": "10e",
    "-x": "-x",
}


@pytest.mark.parametrize("text", KUBECTL_SAYS)
def test_a_scalar_is_what_kubectl_reads(text: str) -> None:
    (document,) = load(f"a: {text}\n")

    value = document.value["a"]
    assert value == KUBECTL_SAYS[text]
    assert type(value) is type(KUBECTL_SAYS[text])


REFUSED = {
    "infinity": ("a: .inf", 1, "JSON has no such number"),
    "beyond a float": ("a: 1e400", 1, "beyond what 64 bits hold"),
    "beyond int64": ("a: 1\nb: 12345678901234567890", 2, "outside 64 bits"),
    "a very long number": ("a: " + "9" * 100_000, 1, "outside 64 bits"),
    "a template as value": ("name: {{ .Values.x }}", 1, "Helm template"),
    "a template as key": ("a: 1\n{{ x }}: b", 2, "Helm template"),
    "a null key": ("~: 1", 1, "null"),
    "a duplicate key": ("a: 1\nb: 2\na: 3", 3, "'a' stands twice, first in line 1"),
    "a duplicate key in JSON": ('{"a": 1,\n "a": 2}', 2, "'a' stands twice, first in line 1"),
    "a duplicate merge key": ("x: &x {}\ny:\n  <<: *x\n  <<: *x", 4, "second merge key"),
    "an unknown tag": ("a: !!python/object:os.system x", 1, "not supported"),
    "an unknown alias": ("a: *b", 1, "no anchor"),
    "an alias in its own anchor": ("a: &b [*b]", 1, "within its own anchor"),
    "a tab": ("a:\n\t- b", 2, "cannot start any token"),
    "a NUL": ("a: \0", 1, "control characters"),
    "too deep": ("[" * 200_000, 1, "deeper than 100"),
    "too deep in JSON": ('{"a":' * 200_000, 1, "deeper than 100"),
    "a little too deep in JSON": ('{"a":' * 101 + "1" + "}" * 101, 1, "deeper than 100"),
    "half a surrogate pair": ('{"a": "\\ud83d"}', 1, "Unicode"),
    "merging a text": ("<<: a", 1, "merges a mapping"),
    "a merge conflict": (
        "a: 1\n<<<<<<< HEAD\nb: 1\n=======\nb: 2\n>>>>>>> x\n",
        2,
        "merge conflict left open",
    ),
    "a bad tag": ("a: !!int x", 1, "does not fit its tag"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_read_is_an_error_with_its_line(case: tuple[str, int, str]) -> None:
    text, line, what = case

    with pytest.raises(Unreadable) as raised:
        load(text, "apps/web.yaml")

    assert str(raised.value).startswith(f"apps/web.yaml:{line}: ")
    assert what in str(raised.value)


def test_latin_1_is_an_error_with_its_line() -> None:
    with pytest.raises(Unreadable, match="f:2: not UTF-8 text"):
        load(b"a: 1\nb: \xe4\n", "f")


def test_keys_are_texts() -> None:
    assert load("1: a\ntrue: b\n1.5: c")[0].value == {"1": "a", "true": "b", "1.5": "c"}


def test_explicit_keys_win_over_merged_ones_wherever_they_stand() -> None:
    text = "base: &b {x: 1, w: 2}\nother: &o {w: 3, z: 4}\n"
    text += "a:\n  <<: [*b, *o]\n  x: 0\nb:\n  x: 0\n  <<: *b\nc: {'<<': 1}"

    value = load(text)[0].value

    assert value["a"] == {"x": 0, "w": 2, "z": 4}
    assert value["b"] == {"x": 0, "w": 2}
    assert value["c"] == {"<<": 1}


def test_documents_carry_the_line_where_they_begin() -> None:
    text = "# hello\n---\na: 1\n---\n# nothing\n---\n\nb: 2\n...\n"

    assert [(d.line, d.index, d.value) for d in load(text)] == [(3, 0, {"a": 1}), (8, 2, {"b": 2})]


def test_a_list_is_flattened_with_a_line_for_each_item() -> None:
    text = "apiVersion: v1\nkind: List\nitems:\n- kind: A\n  n: 1\n- kind: B\n"

    assert [(d.line, d.path, d.value["kind"]) for d in load_objects(text)] == [
        (4, "items[0]", "A"),
        (6, "items[1]", "B"),
    ]


def test_json_that_is_no_yaml_is_read() -> None:
    assert load('{"a": "\\/", "b": "\\ud83d\\ude00", "c": 1.0}\n{"d": 1}') == [
        yaml.Document({"a": "/", "b": "😀", "c": 1}, 1, 0),
        yaml.Document({"d": 1}, 2, 1),
    ]


def test_a_field_has_a_line_and_a_missing_one_that_of_its_nearest_parent() -> None:
    text = "x: 1\n---\nmetadata:\n  labels:\n    a.b/c: d\n"
    text += "spec:\n  containers:\n  - name: a\n    image: b\n  - image: c\n"

    assert position_of(text, 1, "spec.containers[0].image") == 9
    assert position_of(text, 1, "spec.containers[1].name") == 10
    assert position_of(text, 1, "spec.nothing") == 6
    assert position_of(text, 1, "metadata.labels[a.b/c]") == 5
    assert position_of(text, 1, "metadata.labels.a.b/c") == 5
    assert position_of(text, 0, "spec") == 1


def bomb(levels: int, leaf: str = "x") -> str:
    lines = [f"a0: &a0 [{', '.join([leaf] * 9)}]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        bomb(9),
        "a: &a " + "x" * 1_000_000 + "\nb: [" + ",".join(["*a"] * 20_000) + "]",
        "\n".join(
            ["a0: &a0 {x: 1}"] + [f"a{i}: &a{i} {{<<: *a{i - 1}, k{i}: *a{i - 1}}}" for i in range(1, 60)]
        ),
        "\n".join(["a0: &a0 [x]"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 3_000)]),
        "[" * 200_000,
        "x: " + "y" * 10_000_000,
        "- " * 100_000,
        "? " * 100_000,
        "{" * 100_000,
    ],
    ids=["laughs", "long text", "merges", "chain", "brackets", "10 MB", "dashes", "questions", "braces"],
)
def test_a_bomb_is_refused_within_two_seconds(text: str) -> None:
    began = time.monotonic()

    with pytest.raises(Unreadable):
        load(text)

    assert time.monotonic() - began < 2


def test_many_documents_together_may_be_larger_than_one() -> None:
    part = "a: " + "y" * 2_000_000 + "\n---\n"

    assert len(load(part * 3)) == 3


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(json_values)
def test_what_json_writes_is_read_back(value: Any) -> None:
    text = json.dumps({"v": value})

    assert load(text)[0].value == {"v": value}


@given(json_values)
def test_what_yaml_writes_is_read_back(value: Any) -> None:
    text = pyyaml.safe_dump({"v": _quotable(value)}, default_style='"', allow_unicode=True)

    assert load(text)[0].value == {"v": _quotable(value)}


def _quotable(value: Any) -> Any:
    """Texts only: PyYAML's style quotes numbers without saying so."""
    if isinstance(value, dict):
        return {str(key): _quotable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_quotable(item) for item in value]
    return str(value)


@given(st.text("ab:- \n{}[]&*!|>'\"#%@,?<1.~0_\t", max_size=60))
def test_any_text_is_read_or_refused_with_a_line(text: str) -> None:
    refused = _refusal(text)

    assert refused is None or (str(refused).startswith("f:") and 1 <= refused.line <= text.count("\n") + 2)


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    refused = _refusal(data)

    assert refused is None or refused.file == "f"


def _refusal(text: str | bytes) -> Unreadable | None:
    try:
        load_objects(text, "f")
    except Unreadable as error:
        return error
    return None


def test_an_escaped_quote_is_read_as_kubectl_reads_it() -> None:
    """Kubernetes' own examples have it; it is no escape of YAML's."""
    text = """a: "it\\'s \\\\\\' and \\"x\\' y"
b: 'it\\'
c: it\\'s
d: |
  it\\'s
---
e: ["\\'", "\\'\\'"]
f: "1
  \\'2"
g: x
"""

    first, second = load(text, "x.yaml")

    assert first.value == {"a": "it's \\' and \"x' y", "b": "it\\", "c": "it\\'s", "d": "it\\'s\n"}
    assert second.value == {"e": ["'", "''"], "f": "1 '2", "g": "x"}
    assert (second.line, position_of(text, 1, "g")) == (7, 10)


@given(st.lists(st.text(alphabet='ab"\\ \n', max_size=6), max_size=4))
def test_escaped_quotes_change_nothing_else(parts: list[str]) -> None:
    quoted = [json.dumps(part) for part in parts]

    plain = load("- " + "\n- ".join(quoted or ["x"]), "x.yaml")[0].value
    marked = load("- " + "\n- ".join(f"{one[:-1]}\\'\"" for one in quoted) if quoted else "- x", "x.yaml")[
        0
    ].value

    assert marked == ([f"{one}'" for one in plain] if quoted else plain)


def test_too_many_escaped_quotes_are_an_error_and_soon() -> None:
    text = "\n".join(f'- "\\\'{number}"' for number in range(300))

    began = time.process_time()
    with pytest.raises(
        Unreadable, match=r"^x\.yaml:101: while parsing a quoted scalar, found unknown escape"
    ):
        load(text, "x.yaml")

    large = "\n".join(f'- "\\\'{number}"' for number in range(100_000))
    with pytest.raises(Unreadable, match="found unknown escape"):
        load(large, "x.yaml")

    assert time.process_time() - began < 20
