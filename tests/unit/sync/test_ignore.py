"""`.gitwardignore` as gitignore(5) says, and quickly whatever the patterns are."""

import time

import pytest

from gitops.sync.ignore import Ignore

SPEC: dict[str, tuple[str, list[str], list[str]]] = {
    "a name anywhere": ("b.yaml", ["b.yaml", "x/b.yaml"], ["bb.yaml", "b.yaml.txt"]),
    "a folder": ("test/", ["test/a.yaml", "x/test/y/a.yaml"], ["test", "tests/a.yaml"]),
    "anchored by a leading slash": ("/a.yaml", ["a.yaml"], ["x/a.yaml"]),
    "anchored by a slash inside": ("x/a.yaml", ["x/a.yaml"], ["y/x/a.yaml"]),
    "a star stays within a name": ("x/*.yaml", ["x/a.yaml"], ["x/y/a.yaml"]),
    "two stars in front": ("**/x/a.yaml", ["x/a.yaml", "y/z/x/a.yaml"], ["x/y/a.yaml"]),
    "two stars at the end": ("x/**", ["x/a.yaml", "x/y/a.yaml"], ["x", "y/x/a.yaml"]),
    "two stars in the middle": ("x/**/a.yaml", ["x/a.yaml", "x/y/z/a.yaml"], ["a.yaml"]),
    "a question mark and a set": ("?[0-9!].ya*l", ["a1.yaml", "b!.yaaal"], ["a.yaml", "ab.yaml"]),
    "a negated set": ("[!a]x", ["bx"], ["ax"]),
    "an exception": ("*.yaml\n!keep.yaml", ["a.yaml"], ["keep.yaml", "x/keep.yaml"]),
    "no exception below an ignored folder": ("x/\n!x/keep.yaml", ["x/keep.yaml"], []),
    "comments, blanks, an escaped hash": ("# a\n\n\\#b", ["#b"], ["a", "# a"]),
    "nothing": ("", [], ["a", "b/c"]),
}


@pytest.mark.parametrize("case", SPEC.values(), ids=SPEC.keys())
def test_ignore(case: tuple[str, list[str], list[str]]) -> None:
    text, ignored, kept = case
    ignore = Ignore(text)

    assert [path for path in ignored if not ignore(path)] == []
    assert [path for path in kept if ignore(path)] == []


def test_hostile_patterns_cost_little() -> None:
    ignore = Ignore("\n".join(["*a" * 100 + "b", "**/a/" * 60 + "b"] * 20))
    began = time.monotonic()

    assert not ignore("a" * 250)
    assert not ignore("a/" * 60 + "c")

    assert time.monotonic() - began < 2
