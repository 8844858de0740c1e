"""What commands print, and how."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gitops.cli.output import columns, emit
from gitops.cli.usage import WrongUsage
from gitops.client import logs
from gitops.kinds.errors import Unavailable
from gitops.kinds.printable import shown

FOUND = {"name": "web", "ready": True, "why": None, "text": "schön"}


def test_a_value_is_printed_as_asked(capsys: pytest.CaptureFixture[str]) -> None:
    emit(FOUND, "table", "NAME\nweb\n")
    emit(FOUND, "json", "")
    emit(FOUND, "yaml", "")

    assert capsys.readouterr().out == (
        "NAME\nweb\n"
        '{\n  "name": "web",\n  "ready": true,\n  "why": null,\n  "text": "sch\\u00f6n"\n}\n'
        'name: web\nready: true\nwhy: null\ntext: schön\n'
    )  # fmt: skip


def test_another_format_is_wrong_usage() -> None:
    with pytest.raises(WrongUsage, match="--output: found 'xml', wanted table, json or yaml"):
        emit(FOUND, "xml", "")


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert columns(("NAME", "READY"), [("web", True), ("a-long-name", False)]) == (
        "NAME          READY\nweb           True\na-long-name   False\n"
    )
    assert columns(("NAME", "READY"), []) == ""


def test_a_manifest_does_not_steer_the_terminal() -> None:
    """CVE-2021-25743: an escape sequence in a field rewrote what the reader saw."""
    assert shown("\x1b[2Jgone\r\u202e\x07") == "\\x1b[2Jgone\\r\\u202e\\x07"
    assert "\x1b" not in columns(("NAME",), [("\x1b]0;owned\x07",)])


def test_text_of_people_is_left_as_it_is() -> None:
    assert shown("Grüße: 你好, 3 µs") == "Grüße: 你好, 3 µs"


@contextmanager
def logging_of_a_command(level: str | None = None) -> Iterator[logging.Logger]:
    """pytest's own handlers are back afterwards."""
    root = logging.getLogger()
    handlers, before = root.handlers[:], root.level
    root.handlers.clear()
    logs.configure(level)
    try:
        yield logging.getLogger("gitops.test")
    finally:
        root.handlers[:] = handlers
        root.setLevel(before)


def test_a_line_of_the_log_holds_its_facts(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_of_a_command() as log:
        log.info("pod created", extra={"fields": {"key": "Pod shop/web", "revision": 7}})
        log.debug("not shown at this level")

    line = capsys.readouterr().err
    assert line.split(" ", 1)[1] == "info    gitops.test: pod created key=Pod shop/web revision=7\n"


def test_an_error_for_people_is_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_of_a_command() as log:
        log.error(
            Unavailable('web.yaml:7: Deployment shop/web: unknown field "replica"\nweb.yaml:9: \x1b[2J')
        )

    assert capsys.readouterr().err == (
        'web.yaml:7: Deployment shop/web: unknown field "replica"\nweb.yaml:9: \\x1b[2J\n'
    )


def test_control_characters_in_a_logged_fact_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_of_a_command() as log:
        log.warning("odd name", extra={"fields": {"name": "a\x1b[2J\nforged line"}})

    assert capsys.readouterr().err.endswith("odd name name=a\\x1b[2J\\nforged line\n")


def test_libraries_are_heard_from_warning_on(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_of_a_command("debug"):
        logging.getLogger("docker.client").info("chatter")
        logging.getLogger("apscheduler.executors").warning("missed")

    assert capsys.readouterr().err.split(" ", 1)[1] == "warning apscheduler.executors: missed\n"


def test_the_level_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITWARD_LOG_LEVEL", "error")

    with logging_of_a_command() as log:
        log.warning("not shown")

    assert capsys.readouterr().err == ""
