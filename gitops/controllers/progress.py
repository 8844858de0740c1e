"""What of each source is on its way, kept up to date by what a view was touched in instead of looked up in all records.

A cache and nothing more: `progress_of` gives what a look at everything would give, and costs what has changed since.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple, cast
from weakref import WeakKeyDictionary

from gitops.controllers.records import is_applied, waits_behind
from gitops.kinds import registry
from gitops.kinds.apps import DEPLOYMENT, REPLICA_SET, Deployment
from gitops.kinds.core.pod import POD
from gitops.kinds.core.service import SERVICE
from gitops.kinds.gitward import DECLARED, DECLARED_GROUP, Declared, declared_key, first_claim, live_key
from gitops.kinds.health import health
from gitops.kinds.keys import Key
from gitops.kinds.objects import KubeObject, is_going, key_of, uid
from gitops.reconcile import Reader


class Matter(NamedTuple):
    """What there is to say of a source's claims in one record.

    Attributes:
        done: nothing is left to do about them.
        problem: why the object cannot be applied; `reason`: what it waits for; `kept`: why it stays though it was let
            go; '' for nothing.
    """

    done: bool
    problem: str
    reason: str
    kept: str


_SETTLED: Final = Matter(True, "", "", "")


class Progress:
    """Of one view. Only `progress_of` changes it."""

    def __init__(self) -> None:
        self._matters: dict[str, dict[Key, Matter]] = {}  # Source -> record -> what is not settled.
        self._unready: dict[
            str, dict[Key, None]
        ] = {}  # Source -> live objects that were not ready when looked at.
        self._mark = -1

    def is_moving(self, source: str) -> bool:
        """Whether something is on its way that says nothing: it is about to change again."""
        found = self._matters.get(source, {})
        return any(not (one.done or one.problem or one.reason) for one in found.values())

    def matters(self, source: str) -> list[Matter]:
        """All that is not settled, in the order of the records."""
        found = self._matters.get(source, {})
        return [found[key] for key in sorted(found, key=_text)]

    def unready(self, view: Reader, source: str) -> Iterator[KubeObject]:
        """The live objects that the source states and that are not scheduled, or not healthy."""
        for key in sorted(self._unready.get(source, {}), key=_text):
            obj = view.object(key)
            if obj is not None and not is_ready(view, obj):
                yield obj

    def follow(self, view: Reader) -> None:
        """Take in what the view was touched in since the last time."""
        self._mark, keys = view.touched(self._mark)
        if keys is None:
            self._matters, self._unready = {}, {}
            for one in view.list_group(DECLARED_GROUP):
                self._take_record(view, key_of(one), cast(Declared, one))
            return
        for key in dict.fromkeys(keys):
            is_record = key.group == DECLARED_GROUP
            stated = view.get(DECLARED, key if is_record else declared_key(key))
            if is_record:
                self._forget(self._matters, key)
                self._forget(self._unready, live_key(key))
                if stated is not None:
                    self._take_record(view, key, stated)
            elif stated is not None:
                self._forget(self._unready, key)
                self._take_live(view, key, stated)

    def _take_record(self, view: Reader, key: Key, record: Declared) -> None:
        for source in {claim["source"]: None for claim in record["claims"]}:
            matter = matter_of(record, source)
            if matter != _SETTLED:
                self._matters.setdefault(source, {})[key] = matter
        self._take_live(view, live_key(key), record)

    def _take_live(self, view: Reader, key: Key, record: Declared) -> None:
        claim, obj = first_claim(record), view.object(key)
        if obj is not None and claim["state"] == "declared" and not is_ready(view, obj):
            self._unready.setdefault(claim["source"], {})[key] = None

    def _forget(self, places: dict[str, dict[Key, Matter]] | dict[str, dict[Key, None]], key: Key) -> None:
        for found in places.values():
            found.pop(key, None)


def _text(key: Key) -> str:
    return key.text


_progress: Final[WeakKeyDictionary[object, Progress]] = WeakKeyDictionary()


def progress_of(view: Reader) -> Progress:
    """As the view is now. The same object as long as the view lives."""
    found = _progress.get(view)
    if found is None:
        found = _progress[view] = Progress()
    found.follow(view)
    return found


def matter_of(record: Declared, source: str) -> Matter:
    """What there is to say of one source's claims."""
    problem, reason = _in_the_way(record, source)
    return Matter(_is_done(record, source), problem, reason, _kept(record, source))


def _in_the_way(record: Declared, source: str) -> tuple[str, str]:
    """What is told of a source's own claim: why it cannot be applied, and what it waits for; '' for nothing."""
    first, status = first_claim(record), record.get("status") or {}
    declared = [claim for claim in record["claims"] if claim["state"] == "declared"]
    ours = next((claim for claim in declared if claim["source"] == source), None)
    if ours is None:
        return "", ""
    if ours is not first:
        return "", waits_behind(record, ours)
    if not _is_served(record):
        return status.get("problem", ""), ""  # Sync warns of it, at its line; once is enough.
    waiting = status.get("waiting", "")
    for later in reversed(declared[1:]):  # Theirs to tell, unless it is another app of ours.
        if later["source"] == source:
            break
        waiting = waiting.removesuffix(waits_behind(record, later)).removesuffix("; ")
    return status.get("problem", ""), waiting


def _kept(record: Declared, source: str) -> str:
    """What is told of an object that stays though its source has let it go."""
    line = (record.get("status") or {}).get("kept", "")
    return line if any(claim["source"] == source for claim in record["claims"]) else ""


def _is_done(record: Declared, source: str) -> bool:
    """Whether nothing is left to do about the claims of one source."""
    ours = [claim for claim in record["claims"] if claim["source"] == source]
    if not ours:
        return True
    if any(claim["state"] == "withdrawn" for claim in ours):
        return "kept" in (record.get("status") or {})
    first = first_claim(record)
    if first["source"] != source or first["state"] != "declared" or is_applied(record):
        return True
    return not _is_served(record)  # It is told, but may wait for ever and blocks nothing.


def _is_served(record: Declared) -> bool:
    key = live_key(key_of(record))
    return registry.find(key.group, key.kind) is not None


def is_ready(view: Reader, obj: KubeObject) -> bool:
    """Scheduled and healthy."""
    return is_scheduled(view, obj) and is_healthy(obj)


def is_healthy(obj: KubeObject) -> bool:
    """A Service may wait for the address of a load balancer, which is outside, for ever: no pod waits for it."""
    return SERVICE.owns(obj) or health(obj).state == "Healthy"


def is_scheduled(view: Reader, obj: KubeObject) -> bool:
    """Whether all its pods are made and have a node; true of what has no pods."""
    if POD.owns(obj):
        return bool(cast(dict[str, dict[str, str]], obj)["spec"].get("nodeName"))
    if not DEPLOYMENT.owns(obj):
        return True
    deployment = cast(Deployment, obj)
    status = deployment.get("status") or {}
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return False
    if status.get("updatedReplicas", 0) < deployment["spec"]["replicas"]:
        return False
    sets = view.owned_by(REPLICA_SET, uid(deployment))
    pods = (pod for one in sets for pod in view.owned_by(POD, uid(one)) if not is_going(pod))
    return all(pod["spec"].get("nodeName") for pod in pods)
