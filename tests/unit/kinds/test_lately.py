"""What was answered about the very same values is not asked again; what is only equal, or differs, is."""

from collections.abc import Mapping
from typing import Any

from gitops.kinds.lately import ANSWERS_MAX, Lately


class Asked:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, fields: Mapping[str, Any]) -> tuple[str, ...]:
        self.times += 1
        return tuple(f"{name}={fields[name]}" for name in fields)


def test_maps_that_share_their_values_are_asked_about_once() -> None:
    asked, values = Asked(), ["a", "b"]
    lately = Lately(asked, but="nodeName")

    first = lately({"containers": values, "nodeName": "one"})
    second = lately({"containers": values, "nodeName": "two"})
    third = lately({"containers": values})

    assert first == second == third == ("containers=['a', 'b']",)
    assert asked.times == 1


def test_an_equal_copy_and_another_name_are_asked_about() -> None:
    asked, values = Asked(), ["a"]
    lately = Lately(asked, but="nodeName")

    lately({"containers": values})
    lately({"containers": ["a"]})
    answer = lately({"initContainers": values})

    assert answer == ("initContainers=['a']",)
    assert asked.times == 3


def test_the_value_that_an_answer_is_about_lives_as_long_as_the_answer() -> None:
    """Else a new value could get the number of one that is gone, and with it a false answer."""
    lately = Lately(Asked(), but="nodeName")

    answers = [lately({"containers": [number]}) for number in range(3 * ANSWERS_MAX)]

    assert answers == [(f"containers=[{number}]",) for number in range(3 * ANSWERS_MAX)]
