"""Lists in pages: whole and of one moment, or said to be neither."""

from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.api.pages import KEPT_FOR, KEPT_LISTS_MAX, Page, Pages
from gitops.api.status import ContinueExpired
from gitops.kinds.errors import BadRequest
from gitops.kinds.objects import KubeObject

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
QUESTION: Final = ("pods", "default", "", "")


def pods(*names: str) -> tuple[KubeObject, ...]:
    return tuple(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "default", "name": name}}
        for name in names
    )


def names(page: Page) -> list[str]:
    return [obj["metadata"]["name"] for obj in page.objects]


def nothing() -> Page:
    raise AssertionError("the present list was asked for")


@given(size=st.integers(0, 30), limit=st.integers(1, 12))
def test_pages_together_are_the_list(size: int, limit: int) -> None:
    whole = pods(*(f"{number:02d}" for number in range(size)))
    pages = Pages()
    page = pages.first(QUESTION, whole, 7, limit, NOW)
    found = names(page)
    while page.token:
        assert page.remaining == size - len(found)
        page = pages.next(QUESTION, page.token, limit, NOW, nothing)
        assert page.position == 7
        found += names(page)

    assert found == [obj["metadata"]["name"] for obj in whole]


def test_an_expired_token_offers_one_that_goes_on_at_the_present_state() -> None:
    pages = Pages()
    page = pages.first(QUESTION, pods("a", "b", "c"), 7, 1, NOW)
    later = NOW + KEPT_FOR + timedelta(seconds=1)

    with pytest.raises(ContinueExpired) as expired:
        pages.next(QUESTION, page.token, 1, later, nothing)
    page = pages.next(
        QUESTION, expired.value.next_token, 1, later, lambda: Page(pods("a", "c", "d"), 9, "", 0)
    )

    assert (names(page), page.position) == (["c"], 9)
    assert names(pages.next(QUESTION, page.token, 1, later, nothing)) == ["d"]


def test_only_so_many_lists_are_kept() -> None:
    pages = Pages()
    first = pages.first(QUESTION, pods("a", "b"), 0, 1, NOW)
    for position in range(1, KEPT_LISTS_MAX + 1):
        pages.first(QUESTION, pods("a", "b"), position, 1, NOW)

    with pytest.raises(ContinueExpired):
        pages.next(QUESTION, first.token, 1, NOW, nothing)


@pytest.mark.parametrize("token", ["", "x", "e30=", "W10=", "eyJydiI6ICJ4In0="])
def test_an_invented_token_is_refused(token: str) -> None:
    with pytest.raises(BadRequest, match="continue key is not valid"):
        Pages().next(QUESTION, token, 1, NOW, nothing)
