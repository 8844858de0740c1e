"""The files of one source, parsed: what a blob holds is remembered, so a moved or reverted file is not parsed again."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final

from gitops.sync.compile import File
from gitops.sync.files import JSON_ENDING
from gitops.sync.render.parse import Failure
from gitops.sync.source import Entry, Mirror
from gitops.sync.zygote import Parser, unpacked

CACHE_BYTES_MAX: Final = 4 << 20  # Between readings: 4,000 manifests.
BATCH_BYTES_MAX: Final = 16 << 20  # Of texts that are in memory at once.
LINE_LOOKUPS_MAX: Final = 200  # Of one reading, each a child's work; then a document's own line must do.
MANIFEST_MARK: Final = b"apiVersion"


class Parsing:
    """Blocks; for one thread at a time. `parse` what is wanted, ask for `file` and `lines`, then `finish`."""

    def __init__(self, mirror: Mirror, parser: Parser) -> None:
        self._mirror, self._parser = mirror, parser
        # Blob id -> answer, looks like a manifest.
        self._cache: OrderedDict[str, tuple[bytes, bool]] = OrderedDict()
        self._cached_bytes = 0
        self._parsed = 0
        self._ids: dict[str, str] = {}
        self._failures: dict[str, Failure] = {}
        self._lines: dict[tuple[str, int], Mapping[str, int]] = {}

    def parse(self, entries: Iterable[Entry]) -> None:
        """Read and parse those that are not known. Raises what the mirror and the parser raise."""
        batch: dict[str, Entry] = {}
        size = 0
        for entry in entries:
            self._ids[entry.path] = entry.id
            if entry.id in self._cache:
                self._cache.move_to_end(entry.id)
            elif entry.id not in batch:
                if batch and size + entry.size_bytes > BATCH_BYTES_MAX:
                    self._parse(batch)
                    batch, size = {}, 0
                batch[entry.id] = entry
                size += entry.size_bytes
        self._parse(batch)

    def file(self, entry: Entry) -> File:
        """What a parsed file holds."""
        if (failure := self._failures.get(entry.id)) is not None:
            return File(entry.path, unpacked(failure))
        answer, has_mark = self._cache[entry.id]
        return File(entry.path, unpacked(answer), has_mark or not entry.path.endswith(JSON_ENDING))

    def failed(self, entry: Entry) -> bool:
        """Whether time or memory did not suffice: the next reading may go better."""
        return entry.id in self._failures

    def lines(self, file: str, index: int) -> Mapping[str, int]:
        """Lines of fields, by a second reading in the parser's child. Of what was rendered, none is known."""
        if file not in self._ids:
            return {}
        asked = (self._ids[file], index)
        if asked not in self._lines and len(self._lines) < LINE_LOOKUPS_MAX:
            ((_, content),) = self._mirror.blobs([asked[0]])
            self._lines[asked] = self._parser.lines_of(content, index)
        return self._lines.get(asked, {})

    def finish(self) -> int:
        """How many files were parsed since the last time; what is remembered shrinks to its bound."""
        while self._cached_bytes > CACHE_BYTES_MAX:
            _, (answer, _) = self._cache.popitem(last=False)
            self._cached_bytes -= len(answer)
        parsed, self._parsed = self._parsed, 0
        self._ids, self._failures, self._lines = {}, {}, {}
        return parsed

    def _parse(self, batch: Mapping[str, Entry]) -> None:
        if not batch:
            return
        contents = [(batch[blob].path, content) for blob, content in self._mirror.blobs(batch)]
        answers = self._parser.parse(contents)
        for blob, (_, content), answer in zip(batch, contents, answers, strict=True):
            if isinstance(answer, Failure):
                self._failures[blob] = answer
            else:
                self._cache[blob] = (answer, MANIFEST_MARK in content)
                self._cached_bytes += len(answer)
        self._parsed += len(batch)
