"""Durations as people write them."""

import re
from typing import Final

from gitops.cli.usage import WrongUsage

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def seconds_of(flag: str, text: str) -> float:
    """`30s`, `500ms`, `5m`, `1h`, `7d`, or a number of seconds. Raises WrongUsage, naming the flag."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?", text.strip())
    if not match:
        raise WrongUsage(f"{flag}: found {text!r}, wanted a duration such as 30s, 5m or 1h")
    return float(match[1]) * _UNITS[match[2] or "s"]
