"""`.gitwardignore` as gitignore(5) says; what takes too many comparisons is refused."""

import pytest

from gitops.kinds.errors import Invalid
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


HOSTILE: dict[str, tuple[str, str]] = {
    "stars in one name": ("*a" * 15 + "b", "a" * 240),
    "stars over folders": ("**/a/" * 6 + "b", "a/" * 100 + "c"),
}


@pytest.mark.parametrize("case", HOSTILE.values(), ids=HOSTILE.keys())
def test_patterns_that_take_too_long_are_refused_after_a_bounded_number_of_comparisons(
    case: tuple[str, str],
) -> None:
    pattern, name = case
    ignore = Ignore("\n".join([pattern] * 1_000), "shop/.gitwardignore")

    with pytest.raises(
        Invalid, match=r"^shop/\.gitwardignore:1: its patterns take more than 2000 comparisons"
    ):
        any(ignore(f"{number}{name}") for number in range(1_000))

    assert ignore.comparisons <= 100_000 + 1_000 * 2_000


def test_more_patterns_than_are_taken_are_refused_instead_of_cut_off() -> None:
    with pytest.raises(Invalid, match=r"^\.gitwardignore:1: found 1001 patterns, at most 1000 are taken"):
        Ignore("a\n" * 1_001)


def test_a_folder_is_judged_once_however_many_files_lie_in_it() -> None:
    ignore = Ignore("\n".join(f"name-{number}" for number in range(100)))

    assert not any(ignore(f"a/b/c/{number}.yaml") for number in range(1_000))

    assert ignore.comparisons == (1_000 + 3) * 100


def test_many_plain_names_in_many_files_are_no_error() -> None:
    ignore = Ignore("\n".join([f"*.{number}" for number in range(40)] + [f"name-{i}" for i in range(900)]))

    assert not any(ignore(f"app-{number % 10}/manifest-{number}.yaml") for number in range(2_000))
