"""Hooks that are dropped, doubled, reordered, delayed or forged: the master ends at the same commit."""

import asyncio
import json
import random
from collections.abc import Callable
from typing import Final

import pytest
from flask import Flask

from gitops.kinds.core.config import CONFIG_MAP
from tests.integration.master.whole import Site, Whole, config_map
from tests.unit.webhooks.deliveries import CASES, SECRET
from webhooks import Source, make_app

URL: Final = "https://github.com/acme/shop.git"
COMMITS: Final = 6
Delivery = tuple[bytes, bytes]  # Body and the secret that it is signed with.


def push(commit: str, number: int) -> bytes:
    """As a forge says it: nothing of this but the repository and the branch is ever used."""
    payload = {**CASES["github"].payload, "after": commit, "number": number}
    return json.dumps(payload).encode()


def genuine(bodies: list[bytes]) -> list[Delivery]:
    return [(body, SECRET) for body in bodies]


WAYS: Final[dict[str, Callable[[list[bytes], random.Random], list[Delivery]]]] = {
    "as they were sent": lambda bodies, chance: genuine(bodies),
    "all but the last dropped": lambda bodies, chance: genuine(bodies[-1:]),
    "the last dropped": lambda bodies, chance: genuine(bodies[:-1]),
    "each three times": lambda bodies, chance: genuine([body for body in bodies for _ in range(3)]),
    "in another order": lambda bodies, chance: genuine(chance.sample(bodies, len(bodies))),
    "with forged ones between": lambda bodies, chance: [
        one for body in bodies for one in ((body + b" ", b"guess"), (body, SECRET))
    ],
}


@pytest.mark.parametrize("way", WAYS)
def test_however_hooks_arrive_the_newest_commit_goes_live(site: Site, way: str) -> None:
    site.repository.commit({"a.yaml": config_map("a", "0")})
    seed = random.randrange(10**6)
    print(f"seed {seed}")

    async def story(whole: Whole) -> None:
        await whole.look()
        app = make_app(whole.master.syncer.hint, lambda: [Source("shop", URL, "main")], (SECRET,))
        commits = [site.repository.commit({"a.yaml": config_map("a", str(n))}) for n in range(1, COMMITS)]
        bodies = [push(commit, number) for number, commit in enumerate(commits)]

        for body, secret in WAYS[way](bodies, random.Random(seed)):
            await _deliver(app, body, secret)

        await whole.until(lambda: whole.live_commit() == commits[-1])
        assert whole.found(CONFIG_MAP, "default", "a")["data"] == {"a": str(COMMITS - 1)}

    site.run(story)


def test_commits_and_hooks_in_any_order_end_at_the_newest_commit(site: Site) -> None:
    """Hooks run late, or early: a hook may say of a commit that is not pushed yet, or long gone by."""
    site.repository.commit({"a.yaml": config_map("a", "0")})
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)

    async def story(whole: Whole) -> None:
        await whole.look()
        app = make_app(whole.master.syncer.hint, lambda: [Source("shop", URL, "main")], (SECRET,))
        old: list[bytes] = []
        commit = ""
        for number in range(10):
            if chance.random() < 0.5 or not commit:
                commit = site.repository.commit({"a.yaml": config_map("a", str(number))})
            old.append(push(commit, number))
            await _deliver(app, chance.choice(old), SECRET if chance.random() < 0.7 else b"guess")
        await _deliver(app, push("0" * 40, 99), SECRET)

        await whole.until(lambda: whole.live_commit() == commit)

    site.run(story)


def test_a_hook_that_never_came_is_made_good_by_the_timer(site: Site) -> None:
    site.repository.commit({"a.yaml": config_map("a", "0")})

    async def story(whole: Whole) -> None:
        await whole.look()
        commit = site.repository.commit({"a.yaml": config_map("a", "1")})

        whole.master.syncer.hint("shop")  # What the timer does.

        await whole.until(lambda: whole.live_commit() == commit)

    site.run(story)


async def _deliver(app: Flask, body: bytes, secret: bytes) -> None:
    """From a thread, as the server's threads do."""
    case = CASES["github"]
    headers = {**case.event, **case.sign(secret, body)}
    answer = await asyncio.to_thread(
        lambda: app.test_client().post("/hooks/github", data=body, headers=headers)
    )
    assert answer.status_code == (202 if secret == SECRET else 401)
