"""The tokens of a node's pods: asked for, kept, asked for anew in time."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.pods.tokens import Token, Tokens
from agent.volumes.references import TokenWanted, tokens_of
from gitops.kinds.errors import GitwardError, NotFound, Unavailable
from gitops.kinds.sensitive import Sensitive
from tests.agent_world import a_pod

START = datetime(2026, 1, 1, tzinfo=UTC)


def with_token(name: str = "own", seconds: int = 3_600) -> Any:
    source = {"serviceAccountToken": {"path": "token", "expirationSeconds": seconds, "audience": ""}}
    return a_pod(volumes=[{"name": name, "projected": {"defaultMode": 0o644, "sources": [source]}}])


class Master:
    """Gives numbered tokens of the life that is asked for."""

    def __init__(self) -> None:
        self.now, self.asked = START, 0
        self.refuses: GitwardError | None = None

    async def ask(self, wanted: TokenWanted) -> Token:
        if self.refuses is not None:
            raise self.refuses
        self.asked += 1
        return Token(Sensitive(f"token {self.asked}"), self.now + timedelta(seconds=wanted.seconds))

    def tokens(self) -> Tokens:
        return Tokens(self.ask, lambda _: None, lambda: self.now)


def shown(tokens: Tokens, pod: Any) -> str:
    (wanted,) = tokens_of(pod)
    found = tokens.get(wanted)
    return found.reveal().decode() if found is not None else ""


def test_a_token_is_asked_for_once_and_anew_at_four_fifths_of_its_life() -> None:
    master, pod = Master(), with_token()
    tokens = master.tokens()

    for seconds, wanted in ((0, "token 1"), (2_879, "token 1"), (2_881, "token 2"), (3_500, "token 2")):
        master.now = START + timedelta(seconds=seconds)
        asyncio.run(tokens.ready(pod))
        assert shown(tokens, pod) == wanted


def test_a_long_one_is_renewed_daily() -> None:
    master, pod = Master(), with_token(seconds=30 * 86_400)
    tokens = master.tokens()
    asyncio.run(tokens.ready(pod))

    master.now = START + timedelta(hours=25)
    asyncio.run(tokens.ready(pod))

    assert shown(tokens, pod) == "token 2"


def test_while_the_master_is_away_the_old_one_stays_as_long_as_it_counts() -> None:
    master, pod = Master(), with_token()
    tokens = master.tokens()
    asyncio.run(tokens.ready(pod))
    master.refuses = Unavailable("away")

    master.now = START + timedelta(seconds=3_000)
    asyncio.run(tokens.ready(pod))
    assert shown(tokens, pod) == "token 1"
    master.now = START + timedelta(seconds=3_601)
    with pytest.raises(Unavailable, match="failed to fetch token: away"):
        asyncio.run(tokens.ready(pod))


def test_a_pod_that_asked_for_no_token_starts_without_the_master_and_gets_it_later() -> None:
    master, pod = Master(), with_token("kube-api-access-00000")
    tokens = master.tokens()
    master.refuses = Unavailable("away")
    asyncio.run(tokens.ready(pod))
    assert shown(tokens, pod) == ""

    master.refuses, master.now = None, START + timedelta(seconds=11)
    asyncio.run(tokens.ready(pod))
    assert shown(tokens, pod) == "token 1"


def test_an_account_that_is_not_there_keeps_the_pod_waiting_with_the_reason() -> None:
    master = Master()
    master.refuses = NotFound('serviceaccounts "default" not found')

    with pytest.raises(NotFound, match='failed to fetch token: serviceaccounts "default" not found'):
        asyncio.run(master.tokens().ready(with_token("kube-api-access-00000")))


def test_a_released_pod_leaves_nothing() -> None:
    master, pod = Master(), with_token()
    tokens = master.tokens()
    asyncio.run(tokens.ready(pod))

    tokens.release(pod["metadata"]["uid"])

    assert shown(tokens, pod) == ""


def test_a_due_token_wakes_its_pod() -> None:
    woken: list[str] = []
    master, pod = Master(), with_token()
    tokens = Tokens(master.ask, woken.append, lambda: master.now)

    async def scenario() -> None:
        await tokens.ready(pod)
        assert tokens.due() == frozenset()
        master.now = START + timedelta(seconds=2_881)
        assert tokens.due() == {pod["metadata"]["uid"]}

    asyncio.run(scenario())
