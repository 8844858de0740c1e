"""How `gitward history` draws what it was told."""

from datetime import UTC, datetime
from typing import Any, Final

from gitops.cli.history import bar, table

NOW: Final = datetime(2026, 1, 2, 3, 5, 0, tzinfo=UTC)


def commit(**seconds: float) -> dict[str, Any]:
    times = {stage: f"2026-01-02T03:04:{second:09.6f}Z" for stage, second in seconds.items()}
    return {"source": "shop", "commit": "a" * 40, "cause": "hook", **times}


READY: Final = commit(fetched=0, declared=6, live=12, scheduled=18, ready=24)


def test_a_bar_is_as_long_as_its_commit_took_of_the_longest() -> None:
    assert bar(READY, 24.0) == "░" * 6 + "▒" * 6 + "▓" * 6 + "█" * 6
    assert bar(READY, 48.0) == "░" * 3 + "▒" * 3 + "▓" * 3 + "█" * 3


def test_a_commit_that_never_got_live_is_marked() -> None:
    assert bar(commit(fetched=0), 24.0) == "▏ ✗"
    assert bar(commit(fetched=0, declared=12), 24.0) == "░" * 12 + " ✗"


def test_what_takes_no_time_beside_the_others_still_has_a_bar() -> None:
    assert bar(commit(fetched=0, declared=0.001, live=0.002), 3600.0) == "▏"


def test_a_row_tells_how_long_after_the_fetch_each_stage_came() -> None:
    header, row = table([READY], NOW, with_bars=False).splitlines()

    assert header.split() == ["SOURCE", "COMMIT", "WRITTEN", "CAUSE", "FETCHED", "DECLARED", "LIVE", "SCHEDULED",
                              "READY", "AUTHOR", "SUBJECT"]  # fmt: skip
    assert row.split() == [
        "shop",
        "aaaaaaa",
        "-",
        "hook",
        "60s",
        "+6.0s",
        "+12.0s",
        "+18.0s",
        "+24.0s",
        "-",
        "-",
    ]


def test_a_hook_that_was_lost_or_late_is_told_with_the_cause() -> None:
    lost = {**READY, "cause": "timer", "hook": "lost"}
    late = {**READY, "cause": "timer", "hook": "late", "hooked": "2026-01-02T03:04:40.000000Z"}

    rows = table([lost, late], NOW, with_bars=False).splitlines()[1:]

    assert ["timer, hook lost" in rows[0], "timer, hook +40.0s" in rows[1]] == [True, True]


def test_signers_have_a_column_where_a_commit_was_verified() -> None:
    signed = {**READY, "author": "Ann", "signer": {"name": "ann@example.com", "key": "SHA256:abc"}}

    header, first, second = table([signed, READY], NOW, with_bars=False).splitlines()

    assert header.split()[-3:] == ["AUTHOR", "SIGNER", "SUBJECT"]
    assert (first.split()[-3:], second.split()[-3:]) == (["Ann", "ann@example.com", "-"], ["-", "-", "-"])


def test_of_a_commit_of_long_ago_only_the_declaration_is_known() -> None:
    row = table([commit(declared=0)], NOW, with_bars=True).splitlines()[1]

    assert row.split()[4:9] == ["60s", "yes", "-", "-", "-"]


def test_what_an_author_wrote_cannot_steer_the_terminal() -> None:
    hostile = {**READY, "author": "a\x1b[2J", "subject": "b\x07"}

    assert table([hostile], NOW, with_bars=False).splitlines()[1].endswith(r"a\x1b[2J   b\x07")
