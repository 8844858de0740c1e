"""Answers about values that came before: thousands of pods of one owner share the very same parts of a template.

Objects are never changed in place, so what a pure function said of a map holds for every map with the same values. Same
means identical, which costs nothing to find out; an equal copy is simply asked about anew.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

R = TypeVar("R")

ANSWERS_MAX: Final = 256  # Each keeps the map that it is about; then all are forgotten.


class Lately(Generic[R]):
    """What `ask` said about maps of late, but for one field, which it must not look at."""

    def __init__(self, ask: Callable[[Mapping[str, Any]], R], *, but: str) -> None:
        self._ask, self._but = ask, but
        # The map is kept with the answer, so that no other value can get the number of one of its own.
        self._answers: dict[tuple[object, ...], tuple[Mapping[str, Any], R]] = {}

    def __call__(self, fields: Mapping[str, Any]) -> R:
        """The answer about `fields` without the field that is left out."""
        same = tuple([(name, id(one)) for name, one in fields.items() if name != self._but])
        known = self._answers.get(same)
        if known is None:
            bare = {name: one for name, one in fields.items() if name != self._but}
            known = bare, self._ask(bare)
            if len(self._answers) >= ANSWERS_MAX:
                self._answers.clear()
            self._answers[same] = known
        return known[1]
