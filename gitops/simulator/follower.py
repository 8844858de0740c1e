"""Whoever follows the store's history by a watch: late perhaps, but in order, and with nothing left out."""

from typing import Protocol

from gitops.simulator.agenda import Agenda
from gitops.store.contract import Batch
from gitops.view import View


class Log(Protocol):
    """What followers need of the cluster."""

    agenda: Agenda
    batches: list[Batch]

    def lateness(self) -> float:
        """Seconds until the next delivery."""
        ...


class Follower:
    """Gets every batch from `cursor` on. `deaf`: not now; it goes on where it was."""

    def __init__(self, log: Log, cursor: int) -> None:
        self._log, self.cursor = log, cursor
        self._expected = False
        self.deaf = False
        self.gone = False

    def news(self) -> None:
        """There is something to deliver."""
        if not self._expected and not self.gone and not self.deaf:
            self._expected = True
            self._log.agenda.after(self._log.lateness(), self._deliver)

    def take(self, batches: list[Batch]) -> None:
        raise NotImplementedError

    def _deliver(self) -> None:
        self._expected = False
        if self.gone or self.deaf:
            return
        batches = self._log.batches[self.cursor :]
        self.cursor += len(batches)
        self.take(batches)


class Standby(Follower):
    """A view that is as late as its watch: what the next master begins with."""

    def __init__(self, log: Log, view: View, cursor: int) -> None:
        super().__init__(log, cursor)
        self.view = view

    def take(self, batches: list[Batch]) -> None:
        for batch in batches:
            for change in batch.changes:
                self.view.apply(change)
            self.view.advance(batch.revision)
