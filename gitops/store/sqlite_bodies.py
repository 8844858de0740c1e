"""Between the rows of the SQLite file and bodies: which dictionary packed a row, and which one packs the next.

Each connection has a shelf of its own. A dictionary's row never changes and its number is never used again, so what was
read once can be kept. An owner's (or kind's) newest dictionary is the first body seen of it, until one outgrows it.
"""

import sqlite3
from typing import Final, NamedTuple

from gitops.entry import Opener, Packed
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, controller_of
from gitops.store.contract import Position, StoreUnusable
from gitops.store.pack import PLAIN, SMALL_BYTES, Dictionary, Sealed, stored_dictionary
from gitops.store.seal import Sealer

KEPT_MAX: Final = 2_048  # Dictionaries in memory, of up to 8 KB.
WARM_MAX: Final = 128  # Those that packed last are ready to pack again, in 40 KB each,
WARM_AFTER: Final = 4  # once they have packed so many: an owner of a few objects gains nothing by it.

SELECTED: Final = "v.id, v.dictionary, v.sealed, v.body"  # The columns of a `Row`.


class Row(NamedTuple):
    """One version as it is stored. `dictionary` None: the body is not packed; `body` None: deleted."""

    id: int
    dictionary: int | None
    sealed: int
    body: bytes | None


def siblings_of(key: Key, obj: KubeObject) -> str:
    """Under which name an object's dictionary is kept: objects of one owner and kind have most of it in common."""
    owner = controller_of(obj) if "ownerReferences" in obj["metadata"] else None
    return f"{key.group}/{key.kind}/{owner['uid']}" if owner else f"{key.group}/{key.kind}"


class Shelf:
    """The dictionaries that one connection has used."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealed = Sealed(sealer)
        self._by_number: dict[int, Dictionary] = {}
        self._newest: dict[str, Dictionary] = {}
        self._warm: dict[int, Dictionary] = {}

    def packed(self, connection: sqlite3.Connection, row: Row) -> Packed:
        """The body of a row that is no deletion, with what opens it."""
        assert row.body is not None, f"version {row.id} is a deletion"
        return Packed(row.body, self._opener(connection, row))

    def open(self, connection: sqlite3.Connection, key: Key, row: Row) -> KubeObject | None:
        """The object of a row; None for a deletion. StoreUnusable: it is damaged."""
        if row.body is None:
            return None
        return self._opener(connection, row).open(key, Position(row.id), row.body)

    def pack(self, connection: sqlite3.Connection, siblings: str, body: bytes, *, sealed: bool) -> Packed:
        """A body as it is to be stored. May write a dictionary, in the connection's transaction."""
        if sealed:
            return Packed(body, self._sealed)
        if len(body) < SMALL_BYTES:
            return Packed(body, PLAIN)
        found = self._newest.get(siblings) or self._read_newest(connection, siblings)
        if found is None or found.is_outgrown(body):
            found = self._write(connection, siblings, body)
        packed = found.pack(body)
        if found.packed_bodies >= WARM_AFTER:
            self._keep_warm(found)
        return Packed(packed, found) if len(packed) < len(body) else Packed(body, PLAIN)

    def forget(self) -> None:
        """A transaction was refused: what it wrote is not there."""
        for dictionary in self._warm.values():
            dictionary.cool()  # An entry of the view may keep it for long.
        self._warm.clear()
        self._by_number.clear()
        self._newest.clear()

    def retire(self, numbers: frozenset[int]) -> None:
        """Dictionaries that are about to go: nothing more is packed against them."""
        for name, dictionary in [*self._newest.items()]:
            if dictionary.id in numbers:
                del self._newest[name]

    def _keep_warm(self, dictionary: Dictionary) -> None:
        """The one that has not packed for longest makes room."""
        if self._warm.pop(dictionary.id, None) is None:
            dictionary.warm()
        self._warm[dictionary.id] = dictionary
        if len(self._warm) > WARM_MAX:
            self._warm.pop(next(iter(self._warm))).cool()

    def _opener(self, connection: sqlite3.Connection, row: Row) -> Opener:
        if row.dictionary is None:
            return self._sealed if row.sealed else PLAIN
        found = self._by_number.get(row.dictionary)
        if found is None:
            read = connection.execute(
                "SELECT body FROM dictionaries WHERE id = ?", (row.dictionary,)
            ).fetchone()
            if read is None:
                raise StoreUnusable(
                    f"version {row.id}: its dictionary {row.dictionary} is missing: restore a backup"
                )
            found = self._by_number[row.dictionary] = Dictionary.stored(row.dictionary, read[0])
            _bound(self._by_number)
        return found

    def _read_newest(self, connection: sqlite3.Connection, siblings: str) -> Dictionary | None:
        sql = "SELECT id, body FROM dictionaries WHERE siblings = ? ORDER BY id DESC LIMIT 1"
        read = connection.execute(sql, (siblings,)).fetchone()
        if read is None:
            return None
        return self._keep(siblings, Dictionary.stored(*read))

    def _write(self, connection: sqlite3.Connection, siblings: str, body: bytes) -> Dictionary:
        sql = "INSERT INTO dictionaries(siblings, body) VALUES(?, ?)"
        number = connection.execute(sql, (siblings, stored_dictionary(body))).lastrowid
        assert number is not None  # An INSERT has one.
        return self._keep(siblings, Dictionary(number, body))

    def _keep(self, siblings: str, dictionary: Dictionary) -> Dictionary:
        self._newest[siblings] = dictionary
        _bound(self._newest)
        return dictionary


def dictionary_of(packed: Packed) -> int | None:
    """What stands in the column `dictionary`."""
    return packed.opener.id if isinstance(packed.opener, Dictionary) else None


def _bound(kept: dict[int, Dictionary] | dict[str, Dictionary]) -> None:
    """The one that came first goes."""
    if len(kept) > KEPT_MAX:
        del kept[next(iter(kept))]  # type: ignore[arg-type] # Of either type.
