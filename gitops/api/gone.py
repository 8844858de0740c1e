"""What is known of an object that git states no more and that is gone: its last record, and the commit that took it."""

from typing import NamedTuple, cast

from gitops.kinds.errors import Expired
from gitops.kinds.gitward import GIT_SOURCE, Declared, declared_key
from gitops.kinds.keys import Key
from gitops.store.contract import Revision, Store


class Gone(NamedTuple):
    """`record`: as it stood at `revision`, just before a commit took its last claim away."""

    record: Declared
    commit: str
    revision: Revision


async def last_record(store: Store, key: Key) -> Gone | None:
    """None: no source declared the object as far back as the past reaches.

    Looks back commit by commit, newest first: the first before which the object was stated is the one that took it.
    """
    record_key = declared_key(key)
    seen: list[tuple[int, str]] = []
    for source in tuple(store.view().list(GIT_SOURCE)):
        listed = await store.commits(source["metadata"].get("name", ""))
        seen += [(one.revision, one.commit) for one in listed]
    for revision, commit in sorted(seen, reverse=True):
        before = Revision(revision - 1)
        if before < 1 or before < store.floors.history:
            return None
        try:
            record = cast("Declared | None", await store.get(record_key, at=before))
        except Expired:
            return None
        if record is not None and any(claim["state"] != "withdrawn" for claim in record["claims"]):
            return Gone(record, commit, before)
    return None
