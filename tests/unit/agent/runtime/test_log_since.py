"""From when on the engine is asked for lines."""

from datetime import UTC, datetime

from agent.runtime.docker_requests import log_since


def test_a_moment_is_asked_for_to_the_microsecond() -> None:
    assert log_since(datetime(2026, 11, 24, 12, 0, 0, 123457, tzinfo=UTC)) == "1795521600.123457"
    assert log_since(datetime(2026, 11, 24, 12, 0, 0, 999999, tzinfo=UTC)) == "1795521600.999999"
