"""How far a pull has come."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent.runtime.progress import PullProgress


def downloading(layer: str, done: int, total: int) -> Any:
    detail = {"current": done, "total": total}
    return {"status": "Downloading", "id": layer, "progressDetail": detail, "progress": "[==> ]"}


def test_the_layers_are_added_up_and_extracting_is_no_download() -> None:
    progress = PullProgress()

    for line in (
        {"status": "Pulling from shop/web", "id": "1"},
        {"status": "Pulling fs layer", "progressDetail": {}, "id": "a"},
        downloading("a", 10, 100),
        downloading("b", 5, 50),
        {"status": "Download complete", "progressDetail": {}, "id": "b"},
        {"status": "Extracting", "id": "b", "progressDetail": {"current": 1, "total": 50}},
        downloading("a", 30, 100),
    ):
        progress.note(line)

    assert (progress.done_bytes, progress.total_bytes) == (80, 150)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "status", "progressDetail", "current", "total"]), below, max_size=5
        )
    ),
    max_leaves=12,
)


@given(
    st.lists(JSON | st.builds(downloading, st.sampled_from("ab"), st.integers(), st.integers()), max_size=9)
)
def test_whatever_is_said_it_never_has_more_than_all(lines: list[Any]) -> None:
    progress = PullProgress()

    for line in lines:
        progress.note(line)

    assert 0 <= progress.done_bytes <= progress.total_bytes
