"""What a check says: one line for whoever must act on it."""

from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """ERROR: something would fail, so `up` does not start here for the first time. WARNING: it works, but."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Finding(NamedTuple):
    """`advice` is '' where nothing is to be done."""

    check: str
    level: Level
    found: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.check}: {self.found}" + (f": {self.advice}" if self.advice else "")


def ok(check: str, found: str) -> Finding:
    return Finding(check, Level.OK, found)


def warning(check: str, found: str, advice: str) -> Finding:
    return Finding(check, Level.WARNING, found, advice)


def error(check: str, found: str, advice: str) -> Finding:
    return Finding(check, Level.ERROR, found, advice)
