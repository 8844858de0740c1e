"""The peer of `bench node`: a `docker service` in Swarm mode on the same engine, asked for the same changes."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import docker
from docker.types import ServiceMode, UpdateConfig

from gitops.cli.bench.engine import COMMAND, IMAGE
from gitops.kinds.errors import Unavailable

ADDRESS: Final = "127.0.0.1"
PORT: Final = 12377
NAME: Final = "bench"
POLL_SECONDS: Final = 0.05  # What asks more often takes the engine's time from what is measured.
SECONDS_MAX: Final = 300.0
GRACE_NANOSECONDS: Final = 10_000_000_000
SURGE: Final = 5


class Swarm:
    """One node that is a swarm of its own, on loopback."""

    def __init__(self, engine: docker.DockerClient) -> None:
        self._engine: Any = engine  # Half of its methods are untyped.

    @contextmanager
    def on(self) -> Iterator[None]:
        """In Swarm mode, until the end of the block."""
        self._engine.swarm.init(
            advertise_addr=ADDRESS, listen_addr=f"{ADDRESS}:{PORT}", task_history_retention_limit=0
        )
        try:
            yield
        finally:
            self._engine.swarm.leave(force=True)

    def steps(self, started: int, scaled: tuple[int, int], rolled: int) -> Mapping[str, float]:
        """Seconds of each step, named as ours."""
        few, many = scaled
        found = {f"start {started}": self._create(started)}
        self._remove()
        self._create(few)
        found[f"scale {few} to {many}"] = self._timed(
            lambda: self._engine.services.get(NAME).scale(many), lambda: self._running() == many
        )
        found[f"delete {many}"] = self._remove()
        self._create(rolled)
        found[f"roll {rolled}"] = self._roll(rolled)
        self._remove()
        return found

    def _create(self, replicas: int) -> float:
        return self._timed(
            lambda: self._engine.services.create(
                IMAGE,
                command=list(COMMAND),
                name=NAME,
                mode=ServiceMode("replicated", replicas),
                stop_grace_period=GRACE_NANOSECONDS,
                env=["VERSION=1"],
                update_config=UpdateConfig(parallelism=SURGE, order="start-first", monitor=1),
            ),
            lambda: self._running() == replicas,
        )

    def _roll(self, replicas: int) -> float:
        """Until every task is of the new version, and no container of the old one is left."""
        service = self._engine.services.get(NAME)

        def rolled() -> bool:
            return self._running("VERSION=2") == replicas and self._containers() == replicas

        return self._timed(
            lambda: service.update(env=["VERSION=2"], fetch_current_spec=True),
            rolled,
        )

    def _remove(self) -> float:
        return self._timed(self._engine.services.get(NAME).remove, lambda: self._containers() == 0)

    def _running(self, version: str = "") -> int:
        tasks = self._engine.api.tasks(filters={"service": NAME, "desired-state": "running"})
        return sum(
            task["Status"]["State"] == "running"
            and version in ("", *(task["Spec"]["ContainerSpec"].get("Env") or ()))
            for task in tasks
        )

    def _containers(self) -> int:
        wanted = {"label": f"com.docker.swarm.service.name={NAME}"}
        return len(self._engine.api.containers(all=True, filters=wanted))

    @staticmethod
    def _timed(change: Callable[[], object], reached: Callable[[], bool]) -> float:
        begin = time.monotonic()
        change()
        while not reached():
            if time.monotonic() - begin > SECONDS_MAX:
                raise Unavailable(f"docker service: not there after {SECONDS_MAX:.0f} s")
            time.sleep(POLL_SECONDS)
        return time.monotonic() - begin
